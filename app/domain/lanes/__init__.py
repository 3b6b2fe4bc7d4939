"""A lane: token bucket, priorities and circuit breaker of one sender."""
