"""Users as files: export, import and demo data."""
