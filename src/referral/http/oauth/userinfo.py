"""The userinfo endpoint (OpenID Connect Core, section 5.3)."""

from __future__ import annotations

from typing import Any

from litestar import Response, get, post
from litestar.openapi.datastructures import ResponseSpec
from litestar.status_codes import HTTP_200_OK

from referral.core.errors import NotSignedIn
from referral.http import auth
from referral.http.oauth import forms
from referral.http.oauth.errors import ErrorResponse
from referral.http.oauth.tokens import RESPONSES
from referral.http.requests import StrictRequest, context, header_values
from referral.http.responses import JsonResponse
from referral.openid import tokens
from referral.openid.errors import InvalidRequest

PATH = "/oauth/userinfo"

_RESPONSES = {
    **RESPONSES,
    403: ResponseSpec(ErrorResponse, description="`insufficient_scope`.", generate_examples=False),
}

_DESCRIPTION = (
    "The `sub` and the claims of the access token's scopes: `phone` (`phone_number`, "
    "`phone_number_verified`), `profile` (`name`), `email` (`email`, `email_verified`), "
    "`referral` (`invite_code`, `inviter`, `invitee_count`). An empty one is left out."
)


@get(
    PATH,
    operation_id="getUserinfo",
    summary="Get the claims of the signed-in person",
    description=_DESCRIPTION,
    response_description="The claims.",
    responses=_RESPONSES,
    security=auth.REQUIRED,
)
async def by_get(request: StrictRequest) -> Response[dict[str, Any]]:
    return await _respond(request, auth.bearer(request))


@post(
    PATH,
    operation_id="postUserinfo",
    status_code=HTTP_200_OK,
    summary="Get the claims of the signed-in person, by POST",
    description=f"{_DESCRIPTION} The token is in the header, or in the form as `access_token`.",
    response_description="The claims.",
    responses=_RESPONSES,
    security=auth.REQUIRED,
    opt={"parameters": {"access_token": "Unless it is in the header."}},
)
async def by_post(request: StrictRequest) -> Response[dict[str, Any]]:
    in_header = bool(header_values(request, b"authorization"))
    in_form = None
    if header_values(request, b"content-type"):
        in_form = (await forms.body(request)).get("access_token")
    if in_header and in_form is not None:
        raise InvalidRequest("Send the access token in the header or in the form, not in both.")
    if in_header:
        return await _respond(request, auth.bearer(request))
    if in_form is None:
        raise NotSignedIn(reason="no token")
    return await _respond(request, in_form)


HANDLERS = [by_get, by_post]


async def _respond(request: StrictRequest, token: str) -> Response[dict[str, Any]]:
    return JsonResponse(await tokens.userinfo(context(request), token))
