"""Reconciliation: Twilio's message list asked what became of attempts without a final report."""
