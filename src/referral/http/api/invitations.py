"""Invite codes, as anybody may look at them."""

from __future__ import annotations

from typing import Annotated

from litestar import Controller, get
from litestar.params import PathParameter

from referral.core import errors
from referral.http.problems import ANY, responses
from referral.service import invitations
from referral.service.invitations import Invitation


class InvitationController(Controller):
    path = "/invitations"
    tags = ("Invitations",)

    @get(
        "/{invite_code:str}",
        operation_id="getInvitation",
        summary="Look up an invite code",
        description="For landing pages, without a sign-in: whose it is, and never a phone.",
        responses=responses(errors.UnknownInviteCode, *ANY),
    )
    async def get_invitation(
        self,
        invite_code: Annotated[str, PathParameter(description="Read as forgivingly as always.")],
    ) -> Invitation:
        return await invitations.look_up(invite_code)
