"""Rewards: what invitations earn. Rules turn events into entries of a ledger."""
