"""Builders with full defaults, and the real broker."""
