"""The fields of reward rules, as the team writes and reads them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType, field

from referral.rewards.rules import Beneficiary, ReviewPolicy, Rule


class Milestone(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A number of invitees of an inviter who qualify. Give one of the fields."""

    at: Annotated[
        int | UnsetType,
        Meta(description="Once, at this number: 1 to 1000.", examples=[3]),
    ] = UNSET
    each: Annotated[
        int | UnsetType,
        Meta(description="At this number, twice it, three times it and so on: 1 to 1000."),
    ] = UNSET


class RuleFields(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A reward rule without its name."""

    trigger: Annotated[
        str,
        Meta(
            description="`activated`, or a type of posted events. Never changes.",
            examples=["purchase"],
        ),
    ]
    beneficiary: Annotated[
        Literal["inviter", "invitee"], Meta(description="Never changes.", examples=["inviter"])
    ]
    amount: Annotated[int, Meta(description="From 1 to 1,000,000,000, in `unit`.", examples=[500])]
    unit: Annotated[
        str,
        Meta(
            description=(
                "The unit of the amounts: 2 to 24 letters, digits, `_` and `-`. Use the smallest "
                "unit of money, such as `RUB-kopecks`. Never changes."
            ),
            examples=["points"],
        ),
    ]
    occurs: Annotated[
        Literal["every", "first"] | Milestone,
        Meta(
            description=(
                "For what it earns. `every`: for each event. `first`: once for each invitee who "
                'qualifies, by an event that counts and is not reversed. `{"at": 3}`: once, when '
                'an inviter has 3 such invitees. `{"each": 3}`: at 3, 6, 9 of them and so on. The '
                "last two need the beneficiary `inviter`. Never changes."
            ),
            examples=["first", {"at": 3}],
        ),
    ] = "every"
    min_value: Annotated[
        int | None,
        Meta(
            description=(
                "Events with a smaller `value`, or none, do not count. Not for `activated`, which "
                "has no value."
            ),
            examples=[1000],
        ),
    ] = None
    cap_per_month: Annotated[
        int | None,
        Meta(
            description="The most that one beneficiary earns by the rule in a month (UTC).",
            examples=[2500],
        ),
    ] = None
    cap_total: Annotated[
        int | None, Meta(description="The most that one beneficiary ever earns by the rule.")
    ] = None
    hold_days: Annotated[
        int,
        Meta(
            description="Days from the post of the event until an entry is available, 0 to 90.",
            examples=[14],
        ),
    ] = 0
    review: Annotated[
        ReviewPolicy,
        Meta(
            description=(
                "The entries that wait for a person's decision: none, flagged ones or all. Those "
                "of blocked users always wait."
            ),
            examples=["flagged"],
        ),
    ] = "none"
    starts: Annotated[
        str | None,
        Meta(
            description=(
                "Events that occurred earlier do not count. Null: since the rule was made."
            ),
            examples=["2026-01-01T00:00:00Z"],
        ),
    ] = field(name="from", default=None)
    ends: Annotated[
        str | None,
        Meta(description="Events that occurred then or later do not count. Null: no end."),
    ] = field(name="until", default=None)


class RuleView(Struct, frozen=True, kw_only=True):
    """A reward rule."""

    name: Annotated[str, Meta(examples=["first-purchase"])]
    trigger: Annotated[str, Meta(examples=["purchase"])]
    beneficiary: Annotated[Beneficiary, Meta(examples=["inviter"])]
    amount: Annotated[int, Meta(examples=[500])]
    unit: Annotated[str, Meta(examples=["points"])]
    occurs: Annotated[
        Literal["every", "first"] | Milestone,
        Meta(description="For what it earns.", examples=["first", {"at": 3}]),
    ]
    min_value: int | None
    cap_per_month: Annotated[int | None, Meta(examples=[2500])]
    cap_total: int | None
    hold_days: Annotated[int, Meta(examples=[14])]
    review: Annotated[ReviewPolicy, Meta(examples=["flagged"])]
    starts: Annotated[datetime, Meta(examples=["2026-01-31T12:00:00Z"])] = field(name="from")
    ends: datetime | None = field(name="until")
    version: Annotated[
        int, Meta(description="Increases with each change; entries name it.", examples=[1])
    ]


class RuleList(Struct, frozen=True, kw_only=True):
    items: list[RuleView]
    next_cursor: Annotated[None, Meta(description="Always null: the list has all rules.")] = None


def view(rule: Rule) -> RuleView:
    return RuleView(
        name=rule.name,
        trigger=rule.trigger,
        beneficiary=rule.beneficiary,
        amount=rule.amount,
        unit=rule.unit,
        occurs=_occurs(rule),
        min_value=rule.min_value,
        cap_per_month=rule.cap_per_month,
        cap_total=rule.cap_total,
        hold_days=rule.hold_days,
        review=rule.review,
        starts=rule.starts_at,
        ends=rule.ends_at,
        version=rule.version,
    )


def _occurs(rule: Rule) -> Literal["every", "first"] | Milestone:
    match rule.occurs:
        case "at":
            return Milestone(at=rule.invitees or UNSET)
        case "each":
            return Milestone(each=rule.invitees or UNSET)
        case word:
            return word
