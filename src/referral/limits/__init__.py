"""Limits on sends, guesses and invite codes: rules, use cases and counters."""
