"""What a tenant's Twilio account holds besides texts: read, compared with the tenants file, brought in line with it."""
