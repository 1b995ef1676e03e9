"""The layer around every request: protocol, application, CORS, common headers, metrics."""
