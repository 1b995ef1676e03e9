"""How often anything may happen: the rules, their use cases and their counters."""
