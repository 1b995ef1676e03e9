"""Errors of the OAuth and OpenID Connect endpoints."""

from __future__ import annotations


class OAuthError(Exception):
    """An error of RFC 6749, sections 4.1.2.1 and 5.2, or of OpenID Connect Core, section 3.1.2.6.

    error: its standard name. description: what to do next, for the app's developer (ASCII, without
    quotes and backslashes: RFC 6749, section 5.2).
    """

    def __init__(self, error: str, description: str) -> None:
        super().__init__(error)
        self.error = error
        self.description = description


class InvalidClient(OAuthError):  # noqa: N818 - the standard's name
    """A client that did not authenticate (RFC 6749, section 5.2)."""

    def __init__(self, description: str) -> None:
        super().__init__("invalid_client", description)


class InvalidGrant(OAuthError):  # noqa: N818 - the standard's name
    """A code or refresh token that is not valid, or not valid for this client."""

    def __init__(self, description: str) -> None:
        super().__init__("invalid_grant", description)


class InvalidRequest(OAuthError):  # noqa: N818 - the standard's name
    """A parameter is missing, malformed or given twice."""

    def __init__(self, description: str) -> None:
        super().__init__("invalid_request", description)


class UnknownApp(Exception):  # noqa: N818 - not an error of OAuth: its names do not fit
    """A client or a redirect URI that is not registered, so nothing may be redirected.

    reason: which of the page's explanations fits: `client`, `redirect_uri`, `twice`, `request` or
    `logout`.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class InsufficientScope(OAuthError):  # noqa: N818 - the standard's name
    """An access token that is not good for this (RFC 6750, section 3.1)."""

    def __init__(self) -> None:
        super().__init__("insufficient_scope", "The access token needs the scope openid.")
