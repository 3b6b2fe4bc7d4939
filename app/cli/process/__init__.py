"""How a command starts, runs on, reloads and ends."""
