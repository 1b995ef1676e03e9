"""The audit trail."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated
from uuid import UUID

from litestar import Response, get
from litestar.params import QueryParameter

from referral import audit
from referral.audit import Entry
from referral.http.pages import render
from referral.http.pages.texts import N_
from referral.http.requests import AdminRequest
from referral.service import users

ACTIONS: Mapping[str, str] = {
    "user_created": N_("signed up"),
    "signed_in": N_("signed in"),
    "signed_out_everywhere": N_("signed out everywhere"),
    "refresh_token_reused": N_("an old token was used: that session is ended"),
    "invite_activated": N_("activated an invite code"),
    "invite_voided": N_("activation voided"),
    "phone_changed": N_("changed the phone"),
    "account_deleted": N_("account deleted"),
    "user_blocked": N_("blocked"),
    "user_unblocked": N_("unblocked"),
    "admin_granted": N_("made an administrator"),
    "admin_revoked": N_("no administrator any more"),
    "api_key_made": N_("API key made"),
    "api_key_revoked": N_("API key revoked"),
    "signed_in_to_app": N_("signed in to an app"),
    "authorization_code_reused": N_("a code of an app was used again: that session is ended"),
    "client_made": N_("app added"),
    "client_secret_rotated": N_("new secret for an app"),
    "client_rotation_finished": N_("old secret of an app ended"),
    "client_deleted": N_("app deleted"),
    "reward_rule_saved": N_("reward rule made or changed"),
    "reward_rule_deleted": N_("reward rule deleted"),
    "reward_approved": N_("reward approved"),
    "reward_rejected": N_("reward rejected"),
    "signing_key_rotated": N_("new signing key made"),
}

_PAGE_SIZE = 50
_USER = "user:"

UserText = Annotated[str | None, QueryParameter()]
Cursor = Annotated[str | None, QueryParameter()]


@get("/audit", include_in_schema=False)
async def trail(
    request: AdminRequest, user: UserText = None, cursor: Cursor = None
) -> Response[str]:
    """Show a page of the trail. Raises InvalidRequest."""
    found = await audit.page(user=user or None, cursor=cursor, limit=_PAGE_SIZE)
    shown = await phones(found.items, user)
    return render.page(
        request,
        "admin/audit.html",
        entries=found.items,
        next_cursor=found.next_cursor,
        is_first=cursor is None,
        user=str(UUID(user)) if user else None,
        actions=ACTIONS,
        phones=shown,
    )


async def phones(entries: Iterable[Entry], *more: str | None) -> dict[str, str]:
    """Return the phones of the users in these entries by user id, without deleted users."""
    ids = {entry.user_id for entry in entries} | set(more)
    ids |= {entry.actor.removeprefix(_USER) for entry in entries if entry.actor.startswith(_USER)}
    return await users.phones_of(UUID(user_id) for user_id in ids if user_id)
