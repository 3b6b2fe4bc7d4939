"""Decisions: one module per family of inputs."""
