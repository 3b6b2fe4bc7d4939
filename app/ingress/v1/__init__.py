"""The message API under `/v1`: access, rate limits, requests and their states."""
