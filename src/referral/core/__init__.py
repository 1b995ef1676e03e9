"""Rules as pure functions: no framework, no database, no clock, no environment."""
