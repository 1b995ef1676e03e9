"""Sign-in by phone: send a code, verify it, refresh the tokens, sign out."""

from __future__ import annotations

from typing import Annotated

from litestar import Controller, Response, post
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import JSONBody
from litestar.status_codes import HTTP_200_OK, HTTP_201_CREATED, HTTP_204_NO_CONTENT
from msgspec import Meta, Struct

from referral import i18n
from referral.core import errors
from referral.http.api.fields import (
    TOKEN_EXAMPLE,
    AppHash,
    ChallengeToken,
    Code,
    InviteCode,
    Phone,
    WantedChannel,
)
from referral.http.api.refusals import BODY, responses
from referral.http.requests import StrictRequest, caller, context
from referral.http.responses import JsonResponse
from referral.service import refreshes, sessions, sign_in
from referral.service.codes import SendOptions, SentCode
from referral.service.profiles import Profile

_LANGUAGES = ", ".join(f"`{tag}`" for tag in i18n.LANGUAGES)

RefreshTokenText = Annotated[
    str,
    Meta(
        description="The newest `refresh_token` of the session.",
        examples=["XIcjNGZMSqaEFrEqEavVEpBKO7NV8mJh1FwIpF-NsPykiG2U0xsPtuXGpAfdMYCleRwuQ23..."],
    ),
]


class SendCode(Struct, forbid_unknown_fields=True):
    phone: Phone
    device_token: Annotated[
        str | None,
        Meta(
            description=(
                "The `device_token` of an earlier sign-in on this device, if there is one. The "
                "device then has limits of its own, which requests by others for the same phone do "
                "not use up. A token of another phone has no effect, except that rewards for "
                "inviting this phone may be reviewed if it is the inviter's."
            )
        ),
    ] = None
    channel: WantedChannel = None
    app: AppHash = None


class Verify(Struct, forbid_unknown_fields=True):
    token: ChallengeToken
    code: Code
    invite_code: InviteCode | None = None


class RefreshBody(Struct, forbid_unknown_fields=True):
    refresh_token: RefreshTokenText


class TokenPair(Struct, frozen=True, kw_only=True):
    """An access token, and a refresh token to get the next one with."""

    access_token: Annotated[
        str, Meta(description="A JWT (RFC 9068), signed with ES256. Send it as a bearer token.")
    ]
    token_type: Annotated[str, Meta(examples=["Bearer"])] = "Bearer"  # noqa: S105 - a type of tokens
    expires_in: Annotated[
        int, Meta(description="The lifetime of the access token, in seconds.", examples=[900])
    ]
    refresh_token: RefreshTokenText


class SignedIn(TokenPair, frozen=True, kw_only=True):
    """A successful sign-in."""

    device_token: Annotated[
        str,
        Meta(
            description=(
                "Marks this device as known for this phone. Keep it on the device, even after "
                "signing out, and send it with the next `send-code`."
            )
        ),
    ]
    profile: Profile


class SignInController(Controller):
    path = "/auth"
    tags = ("Sign-in",)

    @post(
        "/send-code",
        status_code=HTTP_200_OK,
        operation_id="sendCode",
        response_description="A challenge, to be sent back with the code.",
        summary="Send a code to a phone",
        description=(
            "Returns a challenge, `token`, which `POST /api/v1/auth/verify` takes together with "
            "the code. The response is the same whether or not the phone has an account. Earlier "
            "codes stay valid when another one is sent. The code goes by the `channel` of the "
            "request, otherwise by the first one of the phone's country, and by another one if "
            "that certainly does not accept it; never by a call unless requested. "
            f"The message is in the language that `Accept-Language` prefers, of {_LANGUAGES}."
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
            options=SendOptions(data.channel, data.app or ""),
            caller=caller(request),
        )

    @post(
        "/verify",
        status_code=HTTP_200_OK,
        operation_id="verify",
        # Without an invite code, so that a first try on the documentation page succeeds
        opt={
            "body_example": {"token": TOKEN_EXAMPLE, "code": "0391"},
            "location": "The path of the new account's profile.",
        },
        response_description="Signed in to an existing account.",
        summary="Sign in with a code",
        description=(
            "A challenge can be used once, and allows 3 guesses by default. The first sign-in of a "
            "phone creates its account and returns 201. With `invite_code`, the sign-in also "
            "activates that code. If the rules refuse the invite code, nobody is signed in and the "
            "challenge stays valid: send the same code again without `invite_code`. With "
            "`REFERRAL_SIGN_UP=invited` a new phone needs an `invite_code` (403 "
            "`invitation_required`); if its account was deleted within a year, it is admitted by "
            "the code, which is not activated. With `closed` it is refused (403 "
            "`sign_up_closed`), unless the operator has named it. After these refusals too the "
            "challenge stays valid."
        ),
        responses={
            HTTP_201_CREATED: ResponseSpec(
                SignedIn, generate_examples=False, description="Signed in to a new account."
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
                errors.InvitationRequired,
                errors.SignUpClosed,
                errors.UnknownInviteCode,
                errors.OwnInviteCode,
                errors.InviteAlreadyActivated,
                errors.ActivationTooLate,
                errors.InviteLoop,
                errors.InvitesUsedUp,
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
        response_description="The new tokens.",
        summary="Refresh the tokens of a session",
        description=(
            "A refresh token can be used once: replace it with the new one. If the response is "
            "lost, repeat the request with the same token. For 30 seconds this returns the same "
            "new token; later it returns another new one, 3 times and then once every 8 hours. One "
            "more late repeat, or an older token, means that somebody has a copy: it ends the "
            "session and all device tokens of the user."
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
        response_description="The session has ended, now or earlier.",
        summary="Sign out",
        description=(
            "Ends the session of a refresh token; its access tokens stop working too. A refresh "
            "token that is no longer valid is not an error."
        ),
        responses=responses(*BODY),
    )
    async def logout(self, data: JSONBody[RefreshBody], request: StrictRequest) -> None:
        await sessions.sign_out(context(request), data.refresh_token, caller=caller(request))
