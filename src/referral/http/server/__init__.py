"""What surrounds every request: the protocol, the application, limits of concurrency."""
