"""The Twilio edge: the create call, the vendor words, the webhook signature."""
