"""Invitations: the user's own invite code, and the codes of others."""

from __future__ import annotations

from typing import Annotated

from litestar import Controller, get, put
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import JSONBody, PathParameter
from litestar.status_codes import HTTP_200_OK
from msgspec import Struct

from referral.core import errors
from referral.core.cursor import DEFAULT_PAGE_SIZE
from referral.http import auth, qr
from referral.http.api.fields import InviteCode, Limit, PageCursor
from referral.http.api.refusals import ANY, BODY, SIGNED_IN, responses
from referral.http.requests import StrictRequest, caller, context
from referral.service import invitations, profiles
from referral.service.invitations import Invitation, InviteePage
from referral.service.profiles import Profile


class ActivateInvite(Struct, forbid_unknown_fields=True):
    invite_code: InviteCode


class InvitationController(Controller):
    path = "/invitations"
    tags = ("Invitations",)

    @get(
        "/{invite_code:str}",
        operation_id="getInvitation",
        response_description="The invitation.",
        summary="Look up an invite code",
        description=(
            "Returns the name of the inviter, and never a phone number. Public, for landing pages. "
            "The code of a blocked or deleted user is unknown (404). One that has admitted as many "
            "people as it may is found: only the sign-up is refused (409 `invites_used_up`)."
        ),
        responses=responses(
            errors.InvalidRequest, errors.UnknownInviteCode, errors.TooManyRequests, *ANY
        ),
    )
    async def get_invitation(
        self,
        invite_code: Annotated[
            str,
            PathParameter(description="An invite code, read as in `PUT /api/v1/profile/inviter`."),
        ],
        request: StrictRequest,
    ) -> Invitation:
        return await invitations.look_up(context(request), invite_code, caller=caller(request))


class OwnInvitationController(Controller):
    path = "/profile"
    tags = ("Invitations",)
    guards = (auth.signed_in,)
    security = auth.REQUIRED

    @put(
        "/inviter",
        operation_id="activateInvite",
        response_description="The profile, with the activated code.",
        summary="Activate somebody's invite code",
        description=(
            "Makes the owner of the code this user's inviter. A user can activate one code, once. "
            "Repeating the request with the same code succeeds again; another code gets 409 "
            "`invite_already_activated`. `REFERRAL_INVITES_PER_USER` limits how many people one "
            "code admits (409 `invites_used_up`), `REFERRAL_ACTIVATION_DAYS` how long after the "
            "sign-up, or after an administrator has voided an activation, one can be activated "
            "(409 `activation_too_late`)."
        ),
        responses=responses(
            *SIGNED_IN,
            *BODY,
            errors.UnknownInviteCode,
            errors.OwnInviteCode,
            errors.InviteAlreadyActivated,
            errors.ActivationTooLate,
            errors.InviteLoop,
            errors.InvitesUsedUp,
            errors.TooManyRequests,
        ),
    )
    async def activate_invite(
        self, data: JSONBody[ActivateInvite], request: StrictRequest
    ) -> Profile:
        ctx = context(request)
        await invitations.activate(ctx, request.user, data.invite_code, caller=caller(request))
        return await profiles.get(ctx, request.user.user.id)

    @get(
        "/invitees",
        operation_id="listInvitees",
        response_description="A page of invitees.",
        summary="List the users who activated this user's code",
        description=(
            "Newest first. `phone` is null for an invitee whose phone has changed since, and with "
            "`REFERRAL_INVITEE_SHOWN=masked` it is only the country code and the last two digits. "
            "`next_cursor` is null on the last page."
        ),
        responses=responses(*SIGNED_IN, errors.InvalidRequest),
    )
    async def list_invitees(
        self,
        request: StrictRequest,
        limit: Limit = DEFAULT_PAGE_SIZE,
        cursor: PageCursor = None,
    ) -> InviteePage:
        return await invitations.page(context(request), request.user, cursor=cursor, limit=limit)

    @get(
        "/invite.svg",
        media_type=qr.SVG,
        operation_id="getInviteSvg",
        response_description="An SVG image.",
        summary="Get the invite link as a QR code (SVG)",
        responses={
            HTTP_200_OK: ResponseSpec(
                str, generate_examples=False, media_type=qr.SVG, description="An SVG image."
            ),
            **responses(*SIGNED_IN),
        },
    )
    async def invite_svg(self, request: StrictRequest) -> bytes:
        return qr.svg(invitations.invite_link(context(request), request.user.user.invite_code))

    @get(
        "/invite.png",
        media_type=qr.PNG,
        operation_id="getInvitePng",
        response_description="A PNG image.",
        summary="Get the invite link as a QR code (PNG)",
        responses={
            HTTP_200_OK: ResponseSpec(
                bytes, generate_examples=False, media_type=qr.PNG, description="A PNG image."
            ),
            **responses(*SIGNED_IN),
        },
    )
    async def invite_png(self, request: StrictRequest) -> bytes:
        return qr.png(invitations.invite_link(context(request), request.user.user.invite_code))
