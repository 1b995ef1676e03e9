"""The status of an entry of the ledger. It is derived, never stored."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Literal, Protocol, get_args

Status = Literal["pending", "in_review", "available", "reversed", "rejected", "redeemed"]
STATUSES: tuple[Status, ...] = get_args(Status)


class Kind(StrEnum):
    """The kind of an entry. RETURN reverses a redemption; CAPPED says that a cap prevented one."""

    EARNED = "earned"
    CAPPED = "capped"
    REVERSAL = "reversal"
    REDEMPTION = "redemption"
    RETURN = "return"


class Review(StrEnum):
    """Where the review of an entry stands. An entry that needs none has no review."""

    ASKED = "asked"
    APPROVED = "approved"
    REJECTED = "rejected"


class Entry(Protocol):
    """The part of an entry that decides its status."""

    kind: str
    review: str | None
    reversed_at: datetime | None
    available_at: datetime | None


def derive(entry: Entry, *, now: datetime) -> Status:
    """Return the status of an entry that is not CAPPED."""
    if entry.reversed_at is not None or entry.kind in {Kind.REVERSAL, Kind.RETURN}:
        return "reversed"
    if entry.kind == Kind.REDEMPTION:
        return "redeemed"
    if entry.review == Review.REJECTED:
        return "rejected"
    if entry.review == Review.ASKED:
        return "in_review"
    return "pending" if entry.available_at is not None and now < entry.available_at else "available"
