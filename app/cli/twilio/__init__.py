"""`heliograph twilio`: the tenant's account at Twilio."""
