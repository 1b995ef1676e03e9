"""What the service does: a file for each noun, a function for each use case."""
