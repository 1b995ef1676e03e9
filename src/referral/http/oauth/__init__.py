"""The endpoints that apps call, as OAuth 2.0 and OpenID Connect define them.

Those to which a browser is sent, authorize and logout, are pages: see http/pages/.
"""

from __future__ import annotations

from litestar import Router

from referral.http.oauth import discovery, errors, tokens, userinfo

__all__ = ["router"]

router = Router(
    "",
    route_handlers=[
        *discovery.HANDLERS,
        *tokens.HANDLERS,
        *userinfo.HANDLERS,
    ],
    exception_handlers=errors.HANDLERS,
    tags=("OpenID Connect",),
)
