"""The audit trail."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any
from urllib.parse import urlencode
from uuid import UUID

from litestar import Response, get
from litestar.params import QueryParameter

from referral import audit
from referral.audit import Entry
from referral.context import Context
from referral.core import days as spans
from referral.core.days import Days
from referral.core.errors import InvalidRequest, NotFound
from referral.http.pages import flash, render
from referral.http.pages.texts import N_
from referral.http.requests import AdminRequest, context
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
    "user_blocked": N_("user blocked"),
    "user_unblocked": N_("user unblocked"),
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
    "users_downloaded": N_("downloaded a list of users"),
    "webhook_event_resent": N_("sent a webhook event again"),
}

PATH = "/admin/audit"

_PAGE_SIZE = 50
_USER = "user:"
_KEY = "key:"
_COMMAND = "command"
_FIELDS = ("user", "actor", "action", "from", "to")

Cursor = Annotated[str | None, QueryParameter()]


@get("/audit", include_in_schema=False)
async def trail(request: AdminRequest, cursor: Cursor = None) -> Response[Any]:
    """Show a page of the entries that the query chooses: see _FIELDS. Raises InvalidRequest."""
    ctx = context(request)
    given = {name: request.query_params.get(name, "").strip() for name in _FIELDS}
    chosen = {name: text for name, text in given.items() if text}
    try:
        user = await _user(ctx, given["user"]) if given["user"] else None
        actor = await _actor(ctx, given["actor"]) if given["actor"] else None
        if given["action"] and given["action"] not in ACTIONS:
            raise InvalidRequest.field("action", "Choose an action of the list.")
        days = _days(ctx, given)
    except InvalidRequest as refusal:
        return flash.refused(request, PATH, refusal, form="trail", field="user", values=chosen)
    found = await audit.page(
        user=user,
        actor=actor,
        action=given["action"] or None,
        days=days,
        cursor=cursor,
        limit=_PAGE_SIZE,
    )
    return render.page(
        request,
        "admin/audit.html",
        entries=found.items,
        next_cursor=found.next_cursor,
        is_first=cursor is None,
        user=user,
        chosen=given,
        days=days,
        query=urlencode(chosen),
        actions=ACTIONS,
        phones=await phones(found.items, user),
    )


async def phones(entries: Iterable[Entry], *more: str | None) -> dict[str, str]:
    """Return the phones of the users in these entries by user id, without deleted users."""
    ids = {entry.user_id for entry in entries} | set(more)
    ids |= {entry.actor.removeprefix(_USER) for entry in entries if entry.actor.startswith(_USER)}
    return await users.phones_of(ids)


async def _user(ctx: Context, text: str) -> str:
    """Return the id of a user, also of a deleted one. Raises InvalidRequest."""
    try:
        return str(UUID(text))
    except ValueError:
        pass
    try:
        return (await users.find(ctx, text)).id
    except NotFound:
        raise InvalidRequest.field("user", "Give the phone or id of a user.") from None


async def _actor(ctx: Context, text: str) -> str:
    """Return an actor as the audit trail names them. Raises InvalidRequest.

    text: a user's phone or id, the name of an API key, `command`, or an actor's name in the trail.
    """
    if not text.isprintable():
        # No name has such a character, and PostgreSQL refuses U+0000
        raise InvalidRequest.field("actor", "Remove what cannot be printed.")
    if text == _COMMAND or text.startswith((_USER, _KEY)):
        return text
    try:
        return f"{_USER}{await _user(ctx, text)}"
    except InvalidRequest:
        return f"{_KEY}{text}"


def _days(ctx: Context, given: Mapping[str, str]) -> Days | None:
    """Return the chosen days, or None for all. Raises InvalidRequest.

    No index finds actions or actors, so with one of them the default is the last 30 days.
    """
    if not any(given[name] for name in _FIELDS if name != "user"):
        return None
    return spans.parse(given["from"] or None, given["to"] or None, today=ctx.clock().date())
