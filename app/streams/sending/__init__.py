"""From a durable claim to the create call, and from its result to a record."""
