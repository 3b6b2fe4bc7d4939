"""Rules that several handlers apply: life cycle, retry, schedule, suppression, order, placement."""
