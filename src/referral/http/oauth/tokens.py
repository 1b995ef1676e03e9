"""The token endpoint, and revocation."""

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
from referral.openid.errors import InvalidRequest, OAuthError
from referral.openid.tokens import TokenResponse

RESPONSES = {
    400: ResponseSpec(ErrorResponse, description="An OAuth error.", generate_examples=False),
    401: ResponseSpec(ErrorResponse, description="`invalid_client`.", generate_examples=False),
    503: ResponseSpec(
        ErrorResponse,
        description="`temporarily_unavailable`: repeat it after `Retry-After`.",
        generate_examples=False,
    ),
}


@post(
    "/oauth/token",
    operation_id="getTokens",
    status_code=HTTP_200_OK,
    summary="Exchange an authorization code or a refresh token",
    description=(
        "A form with `grant_type` = `authorization_code` (`code`, `redirect_uri`, "
        "`code_verifier`) or `refresh_token` (`refresh_token`, optionally fewer scopes in "
        "`scope`). A client authenticates by HTTP Basic or with `client_id` and "
        "`client_secret` in the form; a public client sends its `client_id` only. A code works "
        "once and for 60 seconds; a second use within the hour ends the session of the first."
    ),
    response_description="The tokens.",
    responses=RESPONSES,
    opt={"form": forms.MEDIA_TYPE},
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
        "Ends the session of the client's own token (RFC 7009): the `token` of the form may be an "
        "access or a refresh token, also a replaced or expired one. Any other token changes "
        "nothing, and the response is the same."
    ),
    response_description="The token does not work any more.",
    responses=RESPONSES,
)
async def revoke(request: StrictRequest) -> Response[dict[str, Any]]:
    parameters = await forms.body(request)
    client = await client_authentication.authenticate(request, parameters)
    token = parameters.get("token")
    if token is None:
        raise InvalidRequest("The parameter token is missing.")
    await tokens.revoke(context(request), client, token, caller=caller(request))
    return JsonResponse({})


HANDLERS = [get_tokens, revoke]
