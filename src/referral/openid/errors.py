"""Errors of the OAuth and OpenID Connect endpoints."""

from __future__ import annotations

from typing import Literal


class OAuthError(Exception):
    """An error of RFC 6749, sections 4.1.2.1 and 5.2, or of OpenID Connect Core, section 3.1.2.6.

    error: the standard's name. description: what to do, for the app's developer, in ASCII without
    quotes and backslashes (RFC 6749, section 5.2).
    """

    def __init__(self, error: str, description: str) -> None:
        super().__init__(error)
        self.error = error
        self.description = description


class InvalidClient(OAuthError):  # noqa: N818 - the standard's name
    """Client authentication failed (RFC 6749, section 5.2)."""

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


class InsufficientScope(OAuthError):  # noqa: N818 - the standard's name
    """An access token without the scope `openid` at userinfo (RFC 6750, section 3.1)."""

    def __init__(self) -> None:
        super().__init__("insufficient_scope", "Request the scope openid when the person signs in.")


class ErrorRedirect(Exception):  # noqa: N818 - the response to a request, not a failure of ours
    """An error response to the app, by a redirect. url: the redirect URI with the error.

    app_name: the client's name.
    """

    def __init__(self, url: str, error: OAuthError, *, app_name: str) -> None:
        super().__init__(error.error)
        self.url = url
        self.error = error
        self.app_name = app_name


class ErrorPage(Exception):  # noqa: N818 - the response to a request, not a failure of ours
    """An error that only the person sees, because nobody may be redirected to the app.

    reason: the explanation on the page, by its name in http/pages/authorize.py.
    """

    def __init__(
        self, reason: Literal["client", "redirect_uri", "twice", "request", "logout"]
    ) -> None:
        super().__init__(reason)
        self.reason = reason
