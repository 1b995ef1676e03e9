"""The names of countries: a module for each language, so that only those in use take memory."""
