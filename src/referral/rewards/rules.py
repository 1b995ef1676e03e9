"""Reward rules: which events earn how much, for whom, and when it is available."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Literal, TypeAlias

from msgspec import Struct

from referral.core.errors import InvalidRequest

ACTIVATED = "activated"
"""The trigger of rules about activations. No posted event has this type."""

MAX_AMOUNT = 10**9
MAX_CAP = 10**15
MAX_VALUE = 10**15
MAX_HOLD_DAYS = 90
MAX_INVITEES = 1000

# How far the clock of an app may be ahead of ours
CLOCK_SKEW = timedelta(minutes=1)
MAX_EVENT_AGE = timedelta(days=90)

_NAME = re.compile("[A-Za-z0-9_-]{1,64}")
_UNIT = re.compile("[A-Za-z][A-Za-z0-9_-]{0,22}[A-Za-z0-9]")
_ID = re.compile("[A-Za-z0-9._:=+@~-]{1,128}")

Beneficiary: TypeAlias = Literal["inviter", "invitee"]
Occurs: TypeAlias = Literal["first", "every", "at", "each"]
ReviewPolicy: TypeAlias = Literal["none", "flagged", "all"]


class Rule(Struct, frozen=True, kw_only=True):
    """One version of a rule.

    trigger: ACTIVATED or a type of events. invitees: the number of `at` and `each`. amount and caps
    are in `unit`. starts_at, ends_at: when events that count occurred; the end is not included.
    """

    name: str
    trigger: str
    beneficiary: Beneficiary
    unit: str
    occurs: Occurs
    invitees: int | None
    version: int
    amount: int
    min_value: int | None
    cap_per_month: int | None
    cap_total: int | None
    hold_days: int
    review: ReviewPolicy
    starts_at: datetime
    ends_at: datetime | None

    @property
    def looks_at_invitees(self) -> bool:
        """Whether it earns for invitees who qualify, rather than for each event."""
        return self.occurs != "every"

    @property
    def is_for_events(self) -> bool:
        """Whether it earns for each posted event.

        For activations, `every` earns for each invitee instead: a rejection then outlives a void.
        """
        return self.occurs == "every" and self.trigger != ACTIVATED

    @property
    def is_milestone(self) -> bool:
        return self.occurs in {"at", "each"}

    def counts(self, *, occurred_at: datetime, value: int | None) -> bool:
        """Return whether an event of its trigger counts for it."""
        if self.min_value is not None and (value is None or value < self.min_value):
            return False
        return self.starts_at <= occurred_at and (
            self.ends_at is None or occurred_at < self.ends_at
        )

    def is_reached(self, qualifiers: int) -> bool:
        """Return whether this number of invitees who qualify is a milestone."""
        if self.occurs == "at":
            return qualifiers == self.invitees
        return self.occurs == "each" and qualifiers % (self.invitees or 1) == 0

    def is_running(self, now: datetime) -> bool:
        """Return whether an event that occurs now can count."""
        return self.starts_at <= now and (self.ends_at is None or now < self.ends_at)

    def next_milestone(self, qualifiers: int) -> int | None:
        """Return the number of invitees at the next milestone; None if there is none left."""
        number = self.invitees or 1
        if self.occurs == "at":
            return number if qualifiers < number else None
        return (qualifiers // number + 1) * number

    def exceeds_cap(self, *, month: int, total: int) -> bool:
        """Return whether another entry would pass a cap. month, total: the sums so far."""
        return (self.cap_per_month is not None and month + self.amount > self.cap_per_month) or (
            self.cap_total is not None and total + self.amount > self.cap_total
        )


def month(at: datetime) -> str:
    """Return the calendar month in UTC of a time in UTC, as `2026-01`."""
    return at.strftime("%Y-%m")


def is_name(text: str) -> bool:
    return _NAME.fullmatch(text) is not None


def is_id(text: str) -> bool:
    # A client that normalises paths would remove "." and ".."
    return _ID.fullmatch(text) is not None and text not in {".", ".."}


def parse_name(text: str, *, field: str) -> str:
    """Parse the name of a rule or the type of an event. Raises InvalidRequest."""
    if not is_name(text):
        raise InvalidRequest.field(field, "Use 1 to 64 of the characters A-Z a-z 0-9 _ -.")
    return text


def parse_event_type(text: str) -> str:
    """Parse the type of a posted event. Raises InvalidRequest."""
    if text == ACTIVATED:
        raise InvalidRequest.field(
            "type", "Activations are counted by themselves. Give another type."
        )
    return parse_name(text, field="type")


def parse_unit(text: str) -> str:
    """Parse a unit. Raises InvalidRequest."""
    if not _UNIT.fullmatch(text):
        raise InvalidRequest.field(
            "unit",
            "Use 2 to 24 of the characters A-Z a-z 0-9 _ -: first a letter, last no _ or -.",
        )
    return text


def parse_id(text: str, *, field: str) -> str:
    """Parse the id of an event or a redemption, which the team chooses. Raises InvalidRequest."""
    if not is_id(text):
        raise InvalidRequest.field(
            field, 'Use 1 to 128 of the characters A-Z a-z 0-9 . _ : = + @ ~ -, not "." or "..".'
        )
    return text


def require_range(number: int, low: int, high: int, *, field: str) -> int:
    """Return the number if it is in this range. Raises InvalidRequest."""
    if not low <= number <= high:
        raise InvalidRequest.field(field, f"Give a whole number from {low} to {high}.")
    return number


def parse_occurs(given: str | dict[str, int], beneficiary: str) -> tuple[Occurs, int | None]:
    """Parse `first`, `every`, `{"at": n}` or `{"each": n}`. Raises InvalidRequest.

    Return the word and n. The last two count the invitees of an inviter.
    """
    match given:
        case "first" | "every":
            return given, None
        case {"at": n} | {"each": n} if len(given) == 1 and type(n) is int:
            if beneficiary != "inviter":
                raise InvalidRequest.field(
                    "occurs", 'A number of invitees needs "beneficiary": "inviter".'
                )
            word: Occurs = "at" if "at" in given else "each"
            return word, require_range(n, 1, MAX_INVITEES, field="occurs")
        case _:
            raise InvalidRequest.field("occurs", 'Give "first", "every", {"at": 3} or {"each": 3}.')


def require_recent(at: datetime, *, now: datetime) -> datetime:
    """Return the time when an event occurred if such an event counts. Raises InvalidRequest."""
    if at > now + CLOCK_SKEW:
        raise InvalidRequest.field("occurred_at", "This is in the future. Check the clock.")
    if at < now - MAX_EVENT_AGE:
        raise InvalidRequest.field(
            "occurred_at", f"Events count for {MAX_EVENT_AGE.days} days; this one is older."
        )
    return at
