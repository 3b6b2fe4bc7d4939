"""The agents and what they write: intake, contacts, lanes, bulk, metrics."""
