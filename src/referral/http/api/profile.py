"""The user's own profile: read, change and delete it, and move it to another phone."""

from __future__ import annotations

from typing import Annotated

from litestar import Controller, Response, delete, get, patch, post, put
from litestar.background_tasks import BackgroundTask
from litestar.params import JSONBody
from litestar.status_codes import HTTP_200_OK
from msgspec import UNSET, Meta, Struct, UnsetType
from msgspec.structs import asdict

from referral.core import errors
from referral.core.profile_fields import MAX_NAME_LENGTH
from referral.http import auth
from referral.http.api.fields import AppHash, ChallengeToken, Code, Phone, WantedChannel
from referral.http.api.refusals import BODY, SIGNED_IN, responses
from referral.http.requests import JSON, MERGE_PATCH, StrictRequest, caller, context
from referral.messaging import messages
from referral.service import profiles
from referral.service.codes import SendOptions, SentCode
from referral.service.profiles import Profile

Name = Annotated[
    str | None, Meta(description=f"At most {MAX_NAME_LENGTH} characters.", examples=["Anna"])
]
Email = Annotated[str | None, Meta(examples=["anna@example.com"])]


class ReplaceProfile(Struct, forbid_unknown_fields=True):
    name: Name = None
    email: Email = None


class PatchProfile(Struct, forbid_unknown_fields=True):
    name: Name | UnsetType = UNSET
    email: Email | UnsetType = UNSET


class NewPhone(Struct, forbid_unknown_fields=True):
    phone: Phone
    channel: WantedChannel = None
    app: AppHash = None


class ConfirmPhone(Struct, forbid_unknown_fields=True):
    token: ChallengeToken
    code: Code


class ReadProfileController(Controller):
    """Reading the profile. No guard: one SQL statement reads both session and profile."""

    path = "/profile"
    tags = ("Profile",)
    security = auth.REQUIRED

    @get(
        operation_id="getProfile",
        response_description="The profile.",
        summary="Get the profile",
        description=(
            "The user's own data, with the invite code and link to share. `invitees` lists the "
            "phones of the newest 100 users who activated the code; `invitee_count` counts all of "
            "them. The operator may let inviters see only a part of these phones "
            "(`REFERRAL_INVITEE_SHOWN`). List them all with `GET /api/v1/profile/invitees`."
        ),
        responses=responses(*SIGNED_IN),
    )
    async def get_profile(self, request: StrictRequest) -> Profile:
        return await profiles.read(context(request), auth.bearer(request))


class ProfileController(Controller):
    path = "/profile"
    tags = ("Profile",)
    guards = (auth.signed_in,)
    security = auth.REQUIRED

    @put(
        operation_id="replaceProfile",
        response_description="The profile after the change.",
        summary="Replace name and email",
        description="Replaces both: a missing field becomes null.",
        responses=responses(*SIGNED_IN, *BODY),
    )
    async def replace_profile(
        self, data: JSONBody[ReplaceProfile], request: StrictRequest
    ) -> Profile:
        return await profiles.change(context(request), request.user, asdict(data))

    @patch(
        operation_id="patchProfile",
        response_description="The profile after the change.",
        summary="Change name or email",
        description=(
            "A JSON merge patch (RFC 7396), as `application/json` or "
            "`application/merge-patch+json`: a missing field stays as it is, null clears it."
        ),
        responses=responses(*SIGNED_IN, *BODY),
        opt={"media_types": (JSON, MERGE_PATCH)},
    )
    async def patch_profile(self, data: JSONBody[PatchProfile], request: StrictRequest) -> Profile:
        return await profiles.change(context(request), request.user, asdict(data))

    @delete(
        operation_id="deleteProfile",
        response_description="The account is deleted.",
        summary="Delete the account",
        description=(
            "Erases the phone and all personal data, and retires the invite code permanently. The "
            "phone can sign up again as a new user. Requires a sign-in less than 15 minutes old. "
            "The last administrator must appoint another one first (403 `forbidden`)."
        ),
        responses=responses(*SIGNED_IN, errors.SignInAgain, errors.Forbidden),
    )
    async def delete_profile(self, request: StrictRequest) -> None:
        await profiles.delete(context(request), request.user, caller=caller(request))

    @post(
        "/phone/send-code",
        status_code=HTTP_200_OK,
        operation_id="sendPhoneCode",
        response_description="A challenge, to be sent back with the code.",
        summary="Send a code to a new phone",
        description=(
            "Starts a change of phone: the challenge is valid only for this user and this phone, "
            "and not for signing in. Requires a sign-in less than 15 minutes old."
        ),
        responses=responses(
            *SIGNED_IN,
            *BODY,
            errors.SignInAgain,
            errors.InvalidPhone,
            errors.UnsupportedPhone,
            errors.TooManyRequests,
            errors.SmsUnavailable,
        ),
    )
    async def send_phone_code(self, data: JSONBody[NewPhone], request: StrictRequest) -> SentCode:
        return await profiles.send_phone_code(
            context(request),
            request.user,
            phone=data.phone,
            options=SendOptions(data.channel, data.app or ""),
            caller=caller(request),
        )

    @put(
        "/phone",
        operation_id="changePhone",
        response_description="The profile, with the new phone.",
        summary="Move the account to the new phone",
        description=(
            "Completes a change of phone with the challenge of `POST /api/v1/profile/phone/"
            "send-code` and the code. Ends all other sessions and all device tokens, and notifies "
            "the old phone. Requires a sign-in less than 15 minutes old."
        ),
        responses=responses(
            *SIGNED_IN,
            *BODY,
            errors.SignInAgain,
            errors.ChallengeInvalid,
            errors.ChallengeExpired,
            errors.ChallengeSpent,
            errors.WrongCode,
            errors.TooManyAttempts,
            errors.TooManyRequests,
            errors.PhoneTaken,
        ),
    )
    async def change_phone(
        self, data: JSONBody[ConfirmPhone], request: StrictRequest
    ) -> Response[Profile]:
        ctx = context(request)
        profile, notice = await profiles.change_phone(
            ctx, request.user, token=data.token, code=data.code, caller=caller(request)
        )
        return Response(
            profile,
            background=BackgroundTask(messages.notify, ctx, notice) if notice else None,
        )
