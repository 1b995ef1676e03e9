"""The audit trail, as those who administer read it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from msgspec import Meta, Struct

from referral.core import cursor as cursors
from referral.core.errors import InvalidRequest
from referral.storage import audit


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
    after = cursors.read(cursor) if cursor is not None else None
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


def _user_id(text: str | None) -> UUID | None:
    try:
        return UUID(text) if text is not None else None
    except ValueError:
        raise InvalidRequest.field("user", "Give the `id` of a user.") from None
