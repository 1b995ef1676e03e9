"""OpenID Connect: the hosted pages sign people in to the team's apps."""
