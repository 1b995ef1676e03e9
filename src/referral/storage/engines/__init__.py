"""Tortoise's two database clients, with what we need of them added. Tortoise loads them by name."""
