"""The measurements of docs/scaling.md with real databases: `make bench-scaling` runs them."""
