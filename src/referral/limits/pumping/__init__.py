"""The cost guard: find and refuse SMS pumping, messages that are bought and not used."""
