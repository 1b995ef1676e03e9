"""Events for the team's HTTP endpoint, following Standard Webhooks."""
