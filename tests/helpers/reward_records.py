"""The records of the reference model of rewards: rules, activations, events and entries."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime


@dataclass
class Version:
    number: int
    amount: int
    starts_at: datetime
    ends_at: datetime | None = None
    min_value: int | None = None
    cap_per_month: int | None = None
    cap_total: int | None = None
    hold_days: int = 0
    review: str = "none"


@dataclass
class Rule:
    """A rule. occurs: `every`, `first`, `at` or `each`; the last two with a number of invitees."""

    name: str
    trigger: str
    beneficiary: str
    unit: str
    occurs: str
    invitees: int
    created_at: datetime
    versions: list[Version] = field(default_factory=list)
    is_deleted: bool = False


@dataclass(eq=False)
class Activation:
    user: str
    inviter: str
    made_at: datetime
    is_repeat: bool
    flags: set[str]
    is_voided: bool = False


@dataclass(eq=False)
class Event:
    """An event that was posted, or an activation. counted: the rules that it counts for."""

    cause: str
    content: tuple[object, ...]
    user: str
    activation: Activation | None
    occurred_at: datetime
    counted: list[tuple[Rule, Version]] = field(default_factory=list)
    is_reversed: bool = False
    earned: list[Entry] = field(default_factory=list)
    taken_back: list[Entry] = field(default_factory=list)

    def stands_for(self, rule: Rule) -> bool:
        return (
            not self.is_reversed
            and self.activation is not None
            and not self.activation.is_voided
            and any(rule is counted for counted, _ in self.counted)
        )


@dataclass(eq=False)
class Entry:
    user: str
    unit: str
    amount: int
    cause: str
    created_at: datetime
    about: str | None = None
    available_at: datetime | None = None
    rule: Rule | None = None
    version: Version | None = None
    subject: str | int | None = None
    event: Event | None = None
    made_by: list[Activation] = field(default_factory=list)
    review: str | None = None
    is_reversed: bool = False
    reverses: Entry | None = None

    @property
    def flags(self) -> set[str]:
        return {flag for activation in self.made_by for flag in activation.flags}

    @property
    def is_live(self) -> bool:
        """Whether it was earned and neither reversed nor rejected."""
        return self.available_at is not None and self.review != "rejected" and not self.is_reversed

    def status(self, now: datetime) -> str:
        if self.is_reversed or self.reverses is not None:
            return "reversed"
        if self.available_at is None:
            return "redeemed"
        if self.review in {"asked", "rejected"}:
            return "in_review" if self.review == "asked" else "rejected"
        return "pending" if now < self.available_at else "available"
