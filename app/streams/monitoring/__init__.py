"""Health and metrics of the worker process."""
