"""Timers of messages: kept in memory, recovered from rows, due as records on the log."""
