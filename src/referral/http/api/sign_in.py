"""Signing in."""

from __future__ import annotations

from typing import Annotated

from litestar import Controller, Response, post
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import JSONBody
from litestar.status_codes import HTTP_200_OK, HTTP_201_CREATED, HTTP_204_NO_CONTENT
from msgspec import Meta, Struct

from referral.core import errors
from referral.http.api.fields import TOKEN_EXAMPLE, ChallengeToken, Code, InviteCode, Phone
from referral.http.api.refusals import BODY, responses
from referral.http.requests import StrictRequest, caller, context
from referral.http.responses import JsonResponse
from referral.service import refreshes, sessions, sign_in
from referral.service.codes import SentCode
from referral.service.profiles import Profile

RefreshTokenText = Annotated[
    str,
    Meta(
        description="The `refresh_token` of the last answer that had one.",
        examples=["XIcjNGZMSqaEFrEqEavVEpBKO7NV8mJh1FwIpF-NsPykiG2U0xsPtuXGpAfdMYCleRwuQ23..."],
    ),
]


class SendCode(Struct, forbid_unknown_fields=True):
    phone: Phone
    device_token: Annotated[
        str | None, Meta(description="The `device_token` of an earlier sign-in on this device.")
    ] = None


class Verify(Struct, forbid_unknown_fields=True):
    token: ChallengeToken
    code: Code
    invite_code: InviteCode | None = None


class RefreshBody(Struct, forbid_unknown_fields=True):
    refresh_token: RefreshTokenText


class TokenPair(Struct, frozen=True, kw_only=True):
    """An access token, and the refresh token to get the next one with."""

    access_token: Annotated[str, Meta(description="A JWT (RFC 9068), ES256.")]
    token_type: Annotated[str, Meta(examples=["Bearer"])] = "Bearer"  # noqa: S105 - the kind of it
    expires_in: Annotated[int, Meta(description="seconds", examples=[900])]
    refresh_token: RefreshTokenText


class SignedIn(TokenPair, frozen=True, kw_only=True):
    """A sign-in that succeeded."""

    device_token: Annotated[
        str, Meta(description="Marks this device for this phone: keep it for send-code.")
    ]
    profile: Profile


class LoginController(Controller):
    path = "/auth"
    tags = ("Sign-in",)

    @post(
        "/send-code",
        status_code=HTTP_200_OK,
        operation_id="sendCode",
        response_description="The challenge to send back with the code.",
        summary="Send a code to a phone",
        description=(
            "Answers with a challenge token to send back with the code. A phone with an account "
            "and one without get the same answer. A resend voids no earlier code. The message is "
            "in English or Russian, as `Accept-Language` asks."
        ),
        responses=responses(
            *BODY,
            errors.InvalidPhone,
            errors.UnsupportedPhone,
            errors.TooManyRequests,
            errors.SmsUnavailable,
        ),
    )
    async def send_code(self, data: JSONBody[SendCode], request: StrictRequest) -> SentCode:
        return await sign_in.send_code(
            context(request),
            phone=data.phone,
            device_token=data.device_token,
            caller=caller(request),
        )

    @post(
        "/verify",
        status_code=HTTP_200_OK,
        operation_id="verify",
        # Without an invite code, so that the documents page's first try works
        opt={"body_example": {"token": TOKEN_EXAMPLE, "code": "0391"}},
        response_description="Signed in, with an account that was there already.",
        summary="Sign in with a code",
        description=(
            "A challenge works once and takes 3 guesses, unless set otherwise. The first sign-in "
            "of a phone makes its account and answers 201. With `invite_code`, the sign-in "
            "activates it too, and where the rules refuse that, nothing happened: send the code "
            "again without it."
        ),
        responses={
            HTTP_201_CREATED: ResponseSpec(
                SignedIn, generate_examples=False, description="The account was made by this call."
            ),
            **responses(
                *BODY,
                errors.ChallengeInvalid,
                errors.ChallengeExpired,
                errors.ChallengeSpent,
                errors.WrongCode,
                errors.TooManyAttempts,
                errors.TooManyRequests,
                errors.AccountBlocked,
                errors.UnknownInviteCode,
                errors.OwnInviteCode,
                errors.InviteAlreadyActivated,
                errors.InviteLoop,
            ),
        },
    )
    async def verify(self, data: JSONBody[Verify], request: StrictRequest) -> Response[SignedIn]:
        signed_in = await sign_in.verify(
            context(request),
            token=data.token,
            code=data.code,
            invite_code=data.invite_code,
            caller=caller(request),
        )
        tokens = signed_in.tokens
        return JsonResponse(
            SignedIn(
                access_token=tokens.access,
                expires_in=tokens.access_life,
                refresh_token=tokens.refresh,
                device_token=signed_in.device_token,
                profile=signed_in.profile,
            ),
            status_code=HTTP_201_CREATED if signed_in.is_new_user else HTTP_200_OK,
            headers={"Location": "/api/v1/profile"} if signed_in.is_new_user else None,
        )

    @post(
        "/refresh",
        status_code=HTTP_200_OK,
        operation_id="refresh",
        response_description="The next tokens.",
        summary="Get the next tokens of a session",
        description=(
            "A refresh token works once; keep the new one. If the answer was lost, repeat the "
            "call: for 30 seconds the token before the live one gets the live one again, and "
            "after that, 3 times in a day, a new one in its place. One more late repeat, or any "
            "older token, ends the session and all the user's device tokens: somebody has a copy."
        ),
        responses=responses(*BODY, errors.InvalidRefreshToken, errors.AccountBlocked),
    )
    async def refresh(self, data: JSONBody[RefreshBody], request: StrictRequest) -> TokenPair:
        tokens = await refreshes.refresh(
            context(request), data.refresh_token, caller=caller(request)
        )
        return TokenPair(
            access_token=tokens.access,
            expires_in=tokens.access_life,
            refresh_token=tokens.refresh,
        )

    @post(
        "/logout",
        status_code=HTTP_204_NO_CONTENT,
        operation_id="logout",
        response_description="The session is ended, or was before.",
        summary="End the session of a refresh token",
        description="Its access tokens end with it. A token that is no longer good is no error.",
        responses=responses(*BODY),
    )
    async def logout(self, data: JSONBody[RefreshBody], request: StrictRequest) -> None:
        await sessions.sign_out(context(request), data.refresh_token, caller=caller(request))
