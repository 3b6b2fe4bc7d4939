"""What several commands read from topics, tables and processes."""
