"""Kafka: client settings, topics and rights, and reading: committed records only, any codec, in bounded turns."""
