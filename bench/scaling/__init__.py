"""What docs/scaling.md says, shown with real engines: `make bench-scaling` prints its tables."""
