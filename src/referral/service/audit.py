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
from referral.core.errors import InvalidRequest
from referral.storage import audit, database
from referral.storage.audit import NewEntry
from referral.storage.models import AuditEntry
from referral.webhooks import events
from referral.webhooks.events import Activation

_INSTANT = timedelta(microseconds=1)


class Entry(Struct, frozen=True, kw_only=True):
    """Who did what, when, from where."""

    id: Annotated[str, Meta(examples=["3f1f5ab0-6d1c-4b9e-9a51-2f5f9c3e7c10"])]
    at: Annotated[datetime, Meta(examples=["2026-01-31T12:00:00Z"])]
    action: Annotated[
        str,
        Meta(
            description=(
                "`user_created`, `signed_in`, `signed_out_everywhere`, `refresh_token_reused`, "
                "`invite_activated`, `invite_voided`, `phone_changed`, `account_deleted`, "
                "`user_blocked`, `user_unblocked`, `admin_granted`, `admin_revoked`, "
                "`api_key_made` or `api_key_revoked`; more may come."
            ),
            examples=["signed_in"],
        ),
    ]
    actor: Annotated[
        str,
        Meta(
            description="Who did it: `user:ID`, `key:NAME` or `command`.",
            examples=["user:9b2d3c1e-4f5a-4e6b-8c7d-0a1b2c3d4e5f"],
        ),
    ]
    user_id: Annotated[str | None, Meta(description="Whom it was done to, if to somebody.")]
    address: Annotated[
        str | None, Meta(description="From where, if over HTTP.", examples=["192.0.2.1"])
    ]


class AuditPage(Struct, frozen=True, kw_only=True):
    items: list[Entry]
    next_cursor: str | None


async def page(*, user: str | None, cursor: str | None, limit: int) -> AuditPage:
    """The trail, of one user or whole, newest first. Raises InvalidRequest."""
    after = cursors.parse(cursor) if cursor is not None else None
    rows, next_cursor = await audit.page(_user_id(user), after=after, limit=limit)
    return AuditPage(
        items=[
            Entry(
                id=row["id"],
                at=row["at"],
                action=row["action"],
                actor=row["actor"],
                user_id=row["user_id"],
                address=row["address"],
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
    activation: Activation | None = None,
    **facts: Any,
) -> None:
    """Record actions, verbs in the past in their order, in the audit trail, the webhook events and
    the log.

    Call this inside the transaction that performs them, once it holds the user's lock: the trail
    then has what was done and nothing else. The log is written after the commit.

    user: whom it was done to. activation: what actions about an invite code are about. facts: for
    the log only.
    """
    now = ctx.clock()
    entries = [
        AuditEntry(
            id=ids.new(ctx.token_bytes),
            # They are read in the order of their times
            at=now + position * _INSTANT,
            action=action,
            actor=by.name,
            user_id=user,
            address=by.address,
        )
        for position, action in enumerate(actions)
    ]
    await audit.add(entries)
    await events.add(ctx, entries, activation=activation)
    for action in actions:
        database.after_commit(partial(log_recorded, action, by=by, user=user, **facts))


def new_entry(ctx: Context, action: str, *, caller: Caller) -> NewEntry:
    """Return an entry for a statement that writes the trail itself. Call `log_recorded` once it
    has. Not for actions that webhooks report.
    """
    return NewEntry(ids.new(ctx.token_bytes), ctx.clock(), action, caller.address)


def log_recorded(action: str, *, by: Actor, user: UUID | None, **facts: Any) -> None:
    """Log an action that the trail has."""
    observability.record(action, by=by.name, address=by.address, user=user, **facts)


def _user_id(text: str | None) -> UUID | None:
    try:
        return UUID(text) if text is not None else None
    except ValueError:
        raise InvalidRequest.field("user", "Give the `id` of a user.") from None
