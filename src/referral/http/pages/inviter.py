"""Look up the inviter of an invite code, for the pages that show the invitation."""

from __future__ import annotations

from dataclasses import dataclass

from referral.context import Context
from referral.core import invite_code as invite_codes
from referral.core import phone as phones
from referral.core.errors import TooManyRequests, UnknownInviteCode
from referral.core.sign_up import CLOSED
from referral.http import problems
from referral.http.pages import browser_session, phone_field, render, texts
from referral.http.requests import StrictRequest, context
from referral.service import friends, invitations, places
from referral.service.access import Authenticated

_LONGEST_INVALID = 20  # characters


@dataclass(frozen=True, slots=True)
class ShownInvitation:
    """An invitation as the pages show it.

    inviter: the first name, or None. is_used_up: whether its code can admit nobody more.
    """

    invite_code: str
    inviter: str | None
    is_used_up: bool = False


async def find(request: StrictRequest, text: str) -> tuple[ShownInvitation | None, str]:
    """Return the invitation of a code and "", or None and the text that explains its refusal.

    Without a code, return None and "".
    """
    if not text:
        return None, ""
    try:
        return await look_up(request, context(request), text), ""
    except UnknownInviteCode as refusal:
        problems.log_refusal(request, refusal)
        return None, explain(request, refusal)


def parse_code(text: str, ctx: Context) -> str:
    """Parse an invite code. An invalid one is kept, and refused when the user signs in.

    A long invalid one becomes "?", because browsers drop a cookie of over 4 KB, and with it the
    pending code.
    """
    try:
        return invite_codes.parse(text, ctx.invite_url)
    except UnknownInviteCode:
        return text if len(text) <= _LONGEST_INVALID else "?"


def warning(request: StrictRequest, invitation: ShownInvitation, *, is_signed_in: bool) -> str:
    """Return one sentence if nobody can join by this invitation, otherwise ""."""
    if context(request).sign_up.mode == CLOSED and not is_signed_in:
        return _text(request, "sign_up_closed")
    return _text(request, "invites_used_up") if invitation.is_used_up else ""


def masked_phone(request: StrictRequest, ctx: Context, signed_in: Authenticated | None) -> str:
    """Return an example of what inviters see of a phone; empty if they see all of it."""
    if not ctx.masks_invitees:
        return ""
    own = signed_in.user.phone if signed_in else None
    return phones.mask(own or phones.example(phone_field.rules(request, ctx)))


async def look_up(request: StrictRequest, ctx: Context, text: str) -> ShownInvitation:
    """Return the invitation of a code. Raises UnknownInviteCode.

    If the address has made too many tries, return the code unchecked and without a name.
    """
    try:
        found = await invitations.look_up(ctx, text, caller=browser_session.caller(request))
    except TooManyRequests as refusal:
        # Other people behind the same address may have used up the tries
        problems.log_refusal(request, refusal)
        return ShownInvitation(invite_codes.parse(text, ctx.invite_url), inviter=None)
    is_used_up = await places.are_used_up(ctx, found.invite_code)
    return ShownInvitation(found.invite_code, friends.first_name(found.inviter_name), is_used_up)


def explain(request: StrictRequest, refusal: UnknownInviteCode) -> str:
    """Return the text that explains a refusal, in the language of the page."""
    return _text(request, refusal.code)


def _text(request: StrictRequest, code: str) -> str:
    return texts.refusal(code, language=render.language(request), seconds=None, attempts_left=None)
