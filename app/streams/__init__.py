"""The agents: intake, contacts, lanes, timers and metrics, on the engine."""
