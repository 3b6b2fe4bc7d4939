"""The contact log folded again offline, and live rows verified against the result."""
