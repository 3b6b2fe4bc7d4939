"""The public door: webhooks and the message API, put on the log before they are answered."""
