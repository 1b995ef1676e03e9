"""The use cases of accounts: a module for each noun, a function for each use case."""
