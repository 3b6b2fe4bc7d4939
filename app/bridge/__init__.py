"""notify.metrics served to Prometheus."""
