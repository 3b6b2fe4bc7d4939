"""What is counted, and by which labels."""
