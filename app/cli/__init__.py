"""The command line: `commands`, `send` and `twilio` over `queries`, over `process` and `options`."""
