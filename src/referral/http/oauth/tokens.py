"""The token endpoint and the revocation endpoint."""

from __future__ import annotations

from typing import Any

from litestar import Response, post
from litestar.openapi.datastructures import ResponseSpec
from litestar.status_codes import HTTP_200_OK

from referral.http.oauth import client_authentication, forms
from referral.http.oauth.errors import ErrorResponse
from referral.http.requests import StrictRequest, caller, context
from referral.http.responses import JsonResponse
from referral.openid import tokens
from referral.openid.errors import OAuthError
from referral.openid.tokens import TokenResponse

_DESCRIPTIONS = {
    400: "`invalid_request`, `invalid_grant`, `invalid_scope` or `unsupported_grant_type`.",
    401: "`invalid_client`, or `invalid_token` for an access token.",
    413: "`invalid_request`: more than 64 KiB.",
    503: "`temporarily_unavailable`: repeat the request after the time in `Retry-After`.",
}
RESPONSES = {
    status: ResponseSpec(ErrorResponse, description=description, generate_examples=False)
    for status, description in _DESCRIPTIONS.items()
}


_CLIENT_FORM = {
    "client_id": "Unless the client authenticates by HTTP Basic.",
    "client_secret": "Of a confidential client, unless it authenticates by HTTP Basic.",
}
_TOKEN_FORM = {
    "grant_type": "`authorization_code` or `refresh_token`.",
    "code": "The authorization code.",
    "redirect_uri": "That of the authorization request.",
    "code_verifier": "Of the request's `code_challenge` (PKCE).",
    "refresh_token": "With `grant_type` = `refresh_token`.",
    "scope": "Of a refresh: fewer scopes than were granted.",
    **_CLIENT_FORM,
}


@post(
    "/oauth/token",
    operation_id="getTokens",
    status_code=HTTP_200_OK,
    summary="Exchange an authorization code or a refresh token",
    description=(
        "A client authenticates by HTTP Basic, or with `client_id` and `client_secret` in the "
        "form; a public client sends its `client_id` only. A code works once and for 60 seconds; a "
        "second use within the hour ends the session that the first began."
    ),
    response_description="The tokens.",
    responses=RESPONSES,
    opt={"parameters": _TOKEN_FORM, "required": ["grant_type"]},
)
async def get_tokens(request: StrictRequest) -> TokenResponse:
    parameters = await forms.body(request)
    client = await client_authentication.authenticate(request, parameters)
    ctx, by = context(request), caller(request)
    match parameters.require("grant_type"):
        case "authorization_code":
            return await tokens.exchange(
                ctx,
                client,
                parameters.require("code"),
                redirect_uri=parameters.get("redirect_uri"),
                verifier=parameters.get("code_verifier"),
                caller=by,
            )
        case "refresh_token":
            return await tokens.refresh(
                ctx,
                client,
                parameters.require("refresh_token"),
                wanted_scope=parameters.get("scope"),
                caller=by,
            )
        case _:
            raise OAuthError(
                "unsupported_grant_type",
                "The grant_type must be authorization_code or refresh_token.",
            )


@post(
    "/oauth/revoke",
    operation_id="revokeToken",
    status_code=HTTP_200_OK,
    summary="Revoke a token",
    description=(
        "Ends the session of the client's own token (RFC 7009). Any other token changes nothing, "
        "and the response is the same."
    ),
    response_description="The token does not work any more.",
    responses=RESPONSES,
    opt={
        "parameters": {
            "token": "An access or a refresh token, also a replaced or expired one.",
            **_CLIENT_FORM,
        },
        "required": ["token"],
    },
)
async def revoke(request: StrictRequest) -> Response[dict[str, Any]]:
    parameters = await forms.body(request)
    client = await client_authentication.authenticate(request, parameters)
    token = parameters.require("token")
    await tokens.revoke(context(request), client, token, caller=caller(request))
    return JsonResponse({})


HANDLERS = [get_tokens, revoke]
