"""Tortoise's clients for PostgreSQL and SQLite, extended. Tortoise loads them by module name."""
