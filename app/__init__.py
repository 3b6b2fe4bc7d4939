"""heliograph: tell this person, and learn what became of it."""
