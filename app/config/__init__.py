"""Configuration: settings from the environment, the tenants file, API keys."""
