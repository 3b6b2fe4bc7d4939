"""Twilio's webhooks: verified, parsed, written to the log, answered."""
