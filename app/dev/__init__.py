"""What a developer needs on one machine: the dev broker, everything up, the demo."""
