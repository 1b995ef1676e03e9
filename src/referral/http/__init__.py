"""HTTP: requests in, answers out, no rule of its own."""
