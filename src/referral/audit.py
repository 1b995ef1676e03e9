"""The audit trail: who did what, when, from where."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import partial
from typing import Annotated, Any
from uuid import UUID

from msgspec import Meta, Struct

from referral import observability
from referral.context import Actor, Caller, Context
from referral.core import cursor as cursors
from referral.core import ids
from referral.core.days import Days
from referral.core.errors import InvalidRequest
from referral.storage import audit as audit_queries
from referral.storage import database
from referral.storage.audit import NewEntry
from referral.storage.models import AuditEntry
from referral.webhooks import events
from referral.webhooks.events import InviteChange

_MICROSECOND = timedelta(microseconds=1)


class Entry(Struct, frozen=True, kw_only=True):
    """An entry of the audit trail: who did what, when, and from where."""

    id: Annotated[str, Meta(examples=["3f1f5ab0-6d1c-4b9e-9a51-2f5f9c3e7c10"])]
    at: Annotated[datetime, Meta(examples=["2026-01-31T12:00:00Z"])]
    action: Annotated[
        str,
        Meta(
            description=(
                "`user_created`, `signed_in`, `signed_out_everywhere`, `refresh_token_reused`, "
                "`invite_activated`, `invite_voided`, `phone_changed`, `account_deleted`, "
                "`user_blocked`, `user_unblocked`, `admin_granted`, `admin_revoked`, "
                "`api_key_made`, `api_key_revoked`, `signed_in_to_app`, "
                "`authorization_code_reused`, `client_made`, `client_secret_rotated`, "
                "`client_rotation_finished`, `client_deleted`, `signing_key_rotated`, "
                "`reward_rule_saved`, `reward_rule_deleted`, `reward_approved`, "
                "`reward_rejected`, `users_downloaded` or `webhook_event_resent`. Later versions "
                "may add others."
            ),
            examples=["signed_in"],
        ),
    ]
    actor: Annotated[
        str,
        Meta(
            description="Who did it: `user:ID`, `key:NAME` (an API key) or `command`.",
            examples=["user:9b2d3c1e-4f5a-4e6b-8c7d-0a1b2c3d4e5f"],
        ),
    ]
    user_id: Annotated[str | None, Meta(description="The user concerned, if there is one.")]
    address: Annotated[
        str | None,
        Meta(description="The caller's IP address; null for commands.", examples=["192.0.2.1"]),
    ]
    reason: Annotated[
        str | None,
        Meta(
            description=(
                "Why, as an administrator wrote it on the pages. Null if they wrote nothing, and "
                "once the user concerned is deleted; the reason of a deletion is kept for 90 days."
            ),
            examples=["Three invitees with neighbouring numbers"],
        ),
    ]


class AuditPage(Struct, frozen=True, kw_only=True):
    items: list[Entry]
    next_cursor: str | None


async def page(
    *,
    user: str | None,
    cursor: str | None,
    limit: int,
    action: str | None = None,
    actor: str | None = None,
    days: Days | None = None,
) -> AuditPage:
    """Return a page of the trail, newest first: all entries, or those that match what is given.

    user: the id of the user concerned. actor: named as in the trail. An index finds users and days;
    without either, an action or an actor reads the whole trail. Raises InvalidRequest.
    """
    after = cursors.parse(cursor) if cursor is not None else None
    rows, next_cursor = await audit_queries.page(
        user_id=_user_id(user), action=action, actor=actor, days=days, after=after, limit=limit
    )
    return AuditPage(
        items=[
            Entry(
                id=row["id"],
                at=row["at"],
                action=row["action"],
                actor=row["actor"],
                user_id=row["user_id"],
                address=row["address"],
                reason=row["reason"],
            )
            for row in rows
        ],
        next_cursor=next_cursor,
    )


async def record(
    ctx: Context,
    *actions: str,
    by: Actor,
    user: UUID | None = None,
    activation: InviteChange | None = None,
    **facts: Any,
) -> None:
    """Record actions, in their order, in the audit trail, the webhook events and the log.

    Call this inside the transaction that performs them, once it holds the user's lock, so that the
    trail has exactly the committed actions. The log is written after the commit.

    actions: names in the past tense, such as `signed_in`. user: the user concerned. activation: the
    details of actions about an invite code. facts: values for the log only.
    """
    now = ctx.clock()
    entries = [
        AuditEntry(
            id=ids.new(ctx.token_bytes),
            # Entries are sorted by time, so those of one call need different times
            at=now + position * _MICROSECOND,
            action=action,
            actor=by.name,
            user_id=user,
            address=by.address,
            reason=by.reason,
        )
        for position, action in enumerate(actions)
    ]
    await audit_queries.add(entries)
    await events.add(ctx, entries, activation=activation)
    for action in actions:
        database.after_commit(partial(log_action, action, by=by, user=user, **facts))


def new_entry(ctx: Context, action: str, *, caller: Caller) -> NewEntry:
    """Return an entry for an SQL statement that writes it into the trail itself.

    Call `log_action` afterwards. Not for actions that webhooks report.
    """
    return NewEntry(ids.new(ctx.token_bytes), ctx.clock(), action, caller.address)


def log_action(action: str, *, by: Actor, user: UUID | None, **facts: Any) -> None:
    """Log an action that is already in the trail."""
    observability.record(action, by=by.name, address=by.address, user=user, **facts)


def _user_id(text: str | None) -> UUID | None:
    try:
        return UUID(text) if text is not None else None
    except ValueError:
        raise InvalidRequest.field("user", "Give the `id` of a user.") from None
