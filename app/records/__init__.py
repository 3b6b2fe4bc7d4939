"""What travels on the log: topics, envelope, codec, seal, journal, one file per family of record types."""
