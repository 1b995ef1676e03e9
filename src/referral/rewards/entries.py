"""Entries of the ledger, as clients see them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from msgspec import Meta, Struct

from referral.core import reward_status
from referral.core.reward_status import Status
from referral.rewards import entry_queries
from referral.storage.models import RewardEntry


class OwnEntry(Struct, frozen=True, kw_only=True):
    """An entry of the ledger, as its beneficiary sees it."""

    id: Annotated[str, Meta(examples=["3f1f5ab0-6d1c-4b9e-9a51-2f5f9c3e7c10"])]
    user_id: Annotated[
        str,
        Meta(description="The beneficiary.", examples=["9b2d3c1e-4f5a-4e6b-8c7d-0a1b2c3d4e5f"]),
    ]
    rule: Annotated[
        str | None,
        Meta(
            description="The rule that it is earned by; null for a redemption.",
            examples=["first-purchase"],
        ),
    ]
    version: Annotated[int | None, Meta(description="The rule's version.", examples=[1])]
    unit: Annotated[str, Meta(examples=["points"])]
    amount: Annotated[
        int,
        Meta(
            description=(
                "Negative for a redemption, and for an entry that reverses an earned one."
            ),
            examples=[500],
        ),
    ]
    status: Annotated[
        Status,
        Meta(
            description=(
                "`pending` until `available_at`; `in_review` until somebody decides; then "
                "`available` or `rejected`. `reversed` if it was taken back, and for the entry "
                "that took it back. `redeemed` for a redemption."
            ),
            examples=["pending"],
        ),
    ]
    about_user_id: Annotated[
        str | None,
        Meta(
            description="The invitee by whom it was earned; of a milestone, the last one.",
            examples=["1c0e6f0a-7d52-4c8e-9a3b-5d0f6a7b8c9d"],
        ),
    ]
    created_at: Annotated[datetime, Meta(examples=["2026-01-31T12:00:00Z"])]
    available_at: Annotated[
        datetime | None,
        Meta(
            description="The end of its hold; null if it was not earned.",
            examples=["2026-02-14T12:00:00Z"],
        ),
    ]
    reverses: Annotated[str | None, Meta(description="The id of the entry that it reverses.")]


class EntryView(OwnEntry, frozen=True, kw_only=True):
    """An entry of the ledger."""

    cause: Annotated[
        str,
        Meta(
            description=(
                "The `event_id` or `redemption_id`, `activated`, or the reason of a reversal."
            ),
            examples=["order-4711"],
        ),
    ]
    flags: Annotated[
        list[str],
        Meta(
            description=(
                "Signs that the invitees by whom it was earned may not be new people: `burst`, "
                "`neighbours`, `same_address`, `same_device`."
            ),
            examples=[[]],
        ),
    ]


async def views(rows: Sequence[RewardEntry], *, now: datetime) -> list[EntryView]:
    """Return entries as clients see them."""
    flags = await entry_queries.flags(rows)
    return [view(row, flags=flags.get(row.id, []), now=now) for row in rows]


def view(row: RewardEntry, *, flags: list[str], now: datetime) -> EntryView:
    return EntryView(**_common(row, now), cause=row.cause, flags=flags)


def own_view(row: RewardEntry, *, now: datetime) -> OwnEntry:
    return OwnEntry(**_common(row, now))


def _common(row: RewardEntry, now: datetime) -> dict[str, Any]:
    return {
        "id": str(row.id),
        "user_id": str(row.user_id),
        "rule": row.rule,
        "version": row.version,
        "unit": row.unit,
        "amount": row.amount,
        "status": reward_status.derive(row, now=now),
        "about_user_id": _text(row.about_user_id),
        "created_at": row.created_at,
        "available_at": row.available_at,
        "reverses": _text(row.reverses_id),
    }


def _text(value: UUID | None) -> str | None:
    return None if value is None else str(value)
