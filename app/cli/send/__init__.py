"""`heliograph send`: produce notify events and wait for their outcomes."""
