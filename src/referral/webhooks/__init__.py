"""Events for the team's endpoint, as Standard Webhooks."""
