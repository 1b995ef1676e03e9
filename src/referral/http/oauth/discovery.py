"""Discovery: the documents from which client libraries learn the endpoints and capabilities."""

from __future__ import annotations

from typing import Any

from litestar import Response, get
from litestar.datastructures import CacheControlHeader

from referral.http.requests import StrictRequest, context
from referral.http.responses import JsonResponse
from referral.openid import scope

_CACHE = CacheControlHeader(public=True, max_age=300)

_ID_TOKEN_CLAIMS = (
    "iss",
    "sub",
    "aud",
    "exp",
    "iat",
    "auth_time",
    "nonce",
    "at_hash",
    "sid",
    "amr",
)
_METHODS = ["client_secret_basic", "client_secret_post", "none"]


@get(
    "/.well-known/openid-configuration",
    operation_id="getProvider",
    summary="Get what an OpenID Connect client has to know",
    description=(
        "OpenID Connect Discovery 1.0. Client libraries need only the issuer, which is the public "
        "URL, and find everything else here."
    ),
    response_description="The provider's metadata.",
    cache_control=_CACHE,
    sync_to_thread=False,
)
def provider(request: StrictRequest) -> Response[dict[str, Any]]:
    return _metadata(request)


@get(
    "/.well-known/oauth-authorization-server",
    operation_id="getAuthorizationServer",
    summary="Get what an OAuth 2.0 client has to know",
    description="RFC 8414: the same as `/.well-known/openid-configuration`.",
    response_description="The authorization server's metadata.",
    cache_control=_CACHE,
    sync_to_thread=False,
)
def authorization_server(request: StrictRequest) -> Response[dict[str, Any]]:
    return _metadata(request)


HANDLERS = [provider, authorization_server]


def _metadata(request: StrictRequest) -> Response[dict[str, Any]]:
    ctx = context(request)
    issuer = ctx.issuer.url
    claims = [name for names in scope.CLAIMS.values() for name in names]
    return JsonResponse(
        {
            "issuer": issuer,
            "authorization_endpoint": f"{issuer}/oauth/authorize",
            "token_endpoint": f"{issuer}/oauth/token",
            "userinfo_endpoint": f"{issuer}/oauth/userinfo",
            "revocation_endpoint": f"{issuer}/oauth/revoke",
            "end_session_endpoint": f"{issuer}/oauth/logout",
            "jwks_uri": f"{issuer}/.well-known/jwks.json",
            "scopes_supported": list(scope.SUPPORTED),
            "claims_supported": [*_ID_TOKEN_CLAIMS, *claims],
            "response_types_supported": ["code"],
            "response_modes_supported": ["query"],
            "grant_types_supported": ["authorization_code", "refresh_token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "token_endpoint_auth_methods_supported": _METHODS,
            "revocation_endpoint_auth_methods_supported": _METHODS,
            "code_challenge_methods_supported": ["S256"],
            "prompt_values_supported": ["none", "login", "consent", "select_account"],
            "ui_locales_supported": [each.tag for each in ctx.languages],
            "claims_parameter_supported": False,
            "request_parameter_supported": False,
            "request_uri_parameter_supported": False,
            "authorization_response_iss_parameter_supported": True,
        }
    )
