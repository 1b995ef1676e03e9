"""The cost guard: detects and refuses SMS pumping, messages that are asked for and not used."""
