"""Cases of rewards that need steps of their own. `expect` has a cell as in reward_cases.py."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, NamedTuple

from reward_sides import START, Operation

DAY = timedelta(days=1)
MINUTE = timedelta(minutes=1)
SECOND = timedelta(seconds=1)


class Story(NamedTuple):
    name: str
    steps: list[Operation]


def _rule(**given: Any) -> Operation:
    fixed = {"trigger": "buy", "beneficiary": "inviter", "unit": "points", "amount": 10}
    return ("put_rule", "rule", fixed | given)


def _buy(event_id: str, person: str = "bob", **more: Any) -> Operation:
    return ("post_event", event_id, "buy", person, more)


def _join(person: str, inviter: str = "ann") -> Operation:
    return ("activate", person, inviter)


def _expect(cell: str, person: str = "ann") -> Operation:
    return ("expect", person, cell)


def _wait(span: timedelta) -> Operation:
    return ("wait", span)


def _refund(event_id: str) -> Operation:
    return ("reverse_event", event_id, "refund")


def _refused(code: str, operation: Operation) -> Operation:
    return ("refused", code, operation)


_THREE = [_join("bob"), _join("cat"), _join("dan")]

STORIES = [
    Story(
        "a milestone at two is taken back only when the number falls below it",
        [
            _rule(occurs="at", invitees=2, hold_days=14),
            *_THREE,
            _buy("b1"),
            _buy("b2"),
            _expect(" | 0 0"),
            _buy("c1", "cat"),
            _expect("10 c1 pending | 0 10"),
            _buy("d1", "dan"),
            _refund("c1"),
            _expect("10 c1 pending | 0 10"),
            _refund("b1"),
            _expect("10 c1 pending | 0 10"),
            _wait(15 * DAY),
            _refund("b2"),
            _expect("10 c1 reversed, -10 refund | 0 0"),
            _buy("b3"),
            _expect("10 c1 reversed, -10 refund, 10 b3 pending | 0 10"),
        ],
    ),
    Story(
        "each second invitee",
        [
            _rule(occurs="each", invitees=2),
            *_THREE,
            _join("eve"),
            _buy("b1"),
            _buy("c1", "cat"),
            _buy("d1", "dan"),
            _expect("10 c1 available | 10 0"),
            _buy("e1", "eve"),
            _expect("10 c1 available, 10 e1 available | 20 0"),
            ("void", "bob"),
            _expect("10 c1 available, 10 e1 reversed, -10 voided | 10 0"),
            ("void", "cat"),
            _expect("10 c1 available, 10 e1 reversed, -10 voided | 10 0"),
            ("void", "dan"),
            _expect("10 c1 reversed, -10 voided, 10 e1 reversed, -10 voided | 0 0"),
        ],
    ),
    Story(
        "ids of events that look like numbers of milestones",
        [
            _rule(occurs="each", invitees=1),
            *_THREE,
            _buy("1"),
            _buy("2", "cat"),
            _buy("3", "dan"),
            _expect("10 1 available, 10 2 available, 10 3 available | 30 0"),
            _refund("1"),
            _expect("10 1 available, 10 2 available, 10 3 reversed, -10 refund | 20 0"),
            _buy("4"),
            _expect(
                "10 1 available, 10 2 available, 10 3 reversed, -10 refund, 10 4 available | 30 0"
            ),
        ],
    ),
    Story(
        "rejected entries count for no cap",
        [
            _rule(review="all", cap_total=10, cap_per_month=10),
            _join("bob"),
            _buy("b1"),
            _buy("b2"),
            ("decide_all", "rejected"),
            _buy("b3"),
            _expect("10 b1 rejected, 10 b3 in_review | 0 0"),
        ],
    ),
    Story(
        "a rejected milestone counts as earned for good",
        [
            _rule(occurs="each", invitees=1, review="all"),
            *_THREE,
            _buy("b1"),
            ("decide_all", "rejected"),
            _refund("b1"),
            _expect("10 b1 rejected | 0 0"),
            _buy("b2"),
            _expect("10 b1 rejected | 0 0"),
            _buy("c1", "cat"),
            _expect("10 b1 rejected, 10 c1 in_review | 0 0"),
        ],
    ),
    Story(
        "a capped milestone counts as earned for good",
        [
            _rule(occurs="each", invitees=1, cap_total=10),
            *_THREE,
            _buy("b1"),
            _buy("c1", "cat"),
            _refund("b1"),
            _expect("10 b1 available | 10 0"),
            _refund("c1"),
            _expect("10 b1 reversed, -10 refund | 0 0"),
            _buy("b2"),
            _expect("10 b1 reversed, -10 refund, 10 b2 available | 10 0"),
            _rule(occurs="each", invitees=1),
            _buy("c2", "cat"),
            _expect("10 b1 reversed, -10 refund, 10 b2 available | 10 0"),
            _buy("d1", "dan"),
            _expect("10 b1 reversed, -10 refund, 10 b2 available, 10 d1 available | 20 0"),
        ],
    ),
    Story(
        "a deleted invitee counts for milestones, until the void",
        [
            _rule(occurs="at", invitees=2),
            *_THREE,
            _buy("b1"),
            ("delete", "bob"),
            _buy("c1", "cat"),
            _expect("10 c1 available | 10 0"),
            ("void", "bob"),
            _expect("10 c1 reversed, -10 voided | 0 0"),
        ],
    ),
    Story(
        "activations make milestones",
        [
            _rule(trigger="activated", occurs="at", invitees=3, hold_days=1),
            *_THREE,
            _expect("10 activated pending | 0 10"),
            ("void", "bob"),
            _expect("10 activated reversed, -10 voided | 0 0"),
            _join("bob"),
            _expect("10 activated reversed, -10 voided | 0 0"),
            _join("eve"),
            _expect("10 activated reversed, -10 voided, 10 activated pending | 0 10"),
        ],
    ),
    Story(
        "a cap of a calendar month",
        [
            _rule(cap_per_month=25, cap_total=45),
            _join("bob"),
            *(_buy(f"b{number}") for number in range(1, 4)),
            _expect("10 b1 available, 10 b2 available | 20 0"),
            _refund("b1"),
            _buy("b4"),
            _expect("10 b1 reversed, -10 refund, 10 b2 available, 10 b4 available | 20 0"),
            _wait(22 * DAY - SECOND),
            _buy("b5"),
            _expect("10 b1 reversed, -10 refund, 10 b2 available, 10 b4 available | 20 0"),
            _wait(SECOND),
            *(_buy(f"b{number}") for number in range(6, 9)),
            _expect(
                "10 b1 reversed, -10 refund, 10 b2 available, 10 b4 available,"
                " 10 b6 available, 10 b7 available | 40 0"
            ),
            _wait(31 * DAY),
            _buy("b9"),
            _expect(
                "10 b1 reversed, -10 refund, 10 b2 available, 10 b4 available,"
                " 10 b6 available, 10 b7 available | 40 0"
            ),
        ],
    ),
    Story(
        "an entry made anew falls under the caps of now",
        [
            _rule(occurs="first", hold_days=60, cap_total=20),
            *_THREE,
            _buy("b1"),
            _buy("b2"),
            _buy("c1", "cat"),
            _rule(occurs="first", hold_days=60, cap_total=15),
            _buy("b3"),
            _refund("b1"),
            _expect("10 b1 reversed, -10 refund, 10 b2 pending, 10 c1 pending | 0 20"),
            _refund("b2"),
            _expect("10 b1 reversed, -10 refund, 10 b2 reversed, -10 refund, 10 c1 pending | 0 10"),
            _buy("b4"),
            _expect("10 b1 reversed, -10 refund, 10 b2 reversed, -10 refund, 10 c1 pending | 0 10"),
        ],
    ),
    Story(
        "the oldest event that stands is the one that occurred first",
        [
            _rule(occurs="first", hold_days=1),
            _join("bob"),
            _wait(DAY),
            _buy("b1"),
            _buy("b2"),
            _buy("b3", occurred_at=START + MINUTE),
            _refund("b1"),
            _expect("10 b1 reversed, -10 refund, 10 b3 pending | 0 10"),
            _refund("b3"),
            _expect("10 b1 reversed, -10 refund, 10 b3 reversed, -10 refund, 10 b2 pending | 0 10"),
        ],
    ),
    Story(
        "an event made anew has a new hold",
        [
            _rule(occurs="first", hold_days=2),
            _join("bob"),
            _buy("b1"),
            _buy("b2"),
            _wait(2 * DAY - SECOND),
            _refund("b1"),
            _wait(SECOND),
            _expect("10 b1 reversed, -10 refund, 10 b2 pending | 0 10"),
            _wait(2 * DAY - 2 * SECOND),
            _expect("10 b1 reversed, -10 refund, 10 b2 pending | 0 10"),
            _wait(SECOND),
            _expect("10 b1 reversed, -10 refund, 10 b2 available | 10 0"),
        ],
    ),
    Story(
        "events count from the activation on, with a minute of skew",
        [
            _rule(starts_at=START - DAY),
            _wait(DAY),
            _buy("early"),
            _join("bob"),
            _buy("early"),
            _buy("too-early", occurred_at=START + DAY - MINUTE - SECOND),
            _buy("skewed", occurred_at=START + DAY - MINUTE),
            _buy("ahead", occurred_at=START + DAY + MINUTE),
            _expect("10 skewed available, 10 ahead available | 20 0"),
        ],
    ),
    Story(
        "a rule looks at the time of the event, from its first PUT by default",
        [
            _join("bob"),
            _wait(DAY),
            _buy("before"),
            _rule(ends_at=START + 3 * DAY),
            _buy("late", occurred_at=START + DAY - SECOND),
            _buy("now"),
            _wait(2 * DAY),
            _buy("end"),
            _buy("last", occurred_at=START + 3 * DAY - SECOND),
            _rule(starts_at=START),
            _buy("before"),
            _buy("retro", occurred_at=START),
            _rule(),
            _buy("retro-2", occurred_at=START),
            _buy("since-the-first", occurred_at=START + DAY),
            _expect(
                "10 now available, 10 last available, 10 retro available,"
                " 10 since-the-first available | 40 0"
            ),
        ],
    ),
    Story(
        "min_value, and an event without a value",
        [
            _rule(min_value=5),
            _join("bob"),
            _buy("none"),
            _buy("low", value=4),
            _buy("enough", value=5),
            _rule(min_value=0),
            _buy("none-2"),
            _buy("zero", value=0),
            _expect("10 enough available, 10 zero available | 20 0"),
        ],
    ),
    Story(
        "repeats, conflicts and unknown ids",
        [
            _rule(),
            _join("bob"),
            _buy("b1", value=5),
            _buy("b1", value=5),
            _refused("event_conflict", _buy("b1", value=6)),
            _refused("event_conflict", _buy("b1")),
            _refused("event_conflict", _buy("b1", "cat", value=5)),
            _refused("not_found", _refund("b2")),
            _refused("not_found", ("reverse_redemption", "r1")),
            ("redeem", "r1", "ann", "points", 4),
            ("redeem", "r1", "ann", "points", 4),
            _refused("redemption_conflict", ("redeem", "r1", "ann", "points", 5)),
            _refused("redemption_conflict", ("redeem", "r1", "bob", "points", 4)),
            _expect("10 b1 available, -4 r1 redeemed | 6 0"),
            ("reverse_redemption", "r1"),
            ("reverse_redemption", "r1"),
            _expect("10 b1 available, -4 r1 reversed, 4 r1 | 10 0"),
            _refused("redemption_conflict", ("redeem", "r1", "ann", "points", 4)),
            ("delete", "cat"),
            _refused("not_found", _buy("c1", "cat")),
            _refused("not_found", ("redeem", "r2", "cat", "points", 4)),
        ],
    ),
    Story(
        "a reversal after a redemption may leave less than nothing",
        [
            _rule(hold_days=1),
            _join("bob"),
            _buy("b1"),
            _refused("insufficient_balance", ("redeem", "r1", "ann", "points", 10)),
            _wait(DAY),
            _refused("insufficient_balance", ("redeem", "r1", "ann", "points", 11)),
            _refused("insufficient_balance", ("redeem", "r1", "ann", "other", 1)),
            ("redeem", "r1", "ann", "points", 10),
            _refund("b1"),
            _expect("10 b1 reversed, -10 refund, -10 r1 redeemed | -10 0"),
            _refused("insufficient_balance", ("redeem", "r2", "ann", "points", 1)),
            ("reverse_redemption", "r1"),
            _expect("10 b1 reversed, -10 refund, -10 r1 reversed, 10 r1 | 0 0"),
        ],
    ),
    Story(
        "redemptions during a block and after a deletion",
        [
            _rule(),
            _join("bob"),
            _buy("b1"),
            ("redeem", "r1", "ann", "points", 4),
            ("block", "ann"),
            ("redeem", "r1", "ann", "points", 4),
            _refused("account_blocked", ("redeem", "r2", "ann", "points", 4)),
            ("reverse_redemption", "r1"),
            ("unblock", "ann"),
            ("redeem", "r2", "ann", "points", 4),
            ("delete", "ann"),
            _refund("b1"),
            ("reverse_redemption", "r2"),
            _expect("10 b1 reversed, -10 refund, -4 r1 reversed, 4 r1, -4 r2 reversed, 4 r2 | 0 0"),
        ],
    ),
    Story(
        "decisions and their repeats",
        [
            _rule(review="all", hold_days=1),
            _join("bob"),
            _buy("b1"),
            ("decide_all", "approved"),
            _expect("10 b1 pending | 0 10"),
            ("decide_same", "approved"),
            ("refuse_decision", "rejected"),
            _wait(DAY),
            ("decide_same", "approved"),
            ("refuse_decision", "rejected"),
            _buy("b2"),
            _wait(DAY),
            _expect("10 b1 available, 10 b2 in_review | 10 0"),
            ("decide_all", "approved"),
            _expect("10 b1 available, 10 b2 available | 20 0"),
        ],
    ),
    Story(
        "what never changes, and a deleted name",
        [
            _rule(),
            _refused("invalid_request", _rule(trigger="sell")),
            _refused("invalid_request", _rule(beneficiary="invitee")),
            _refused("invalid_request", _rule(unit="other")),
            _refused("invalid_request", _rule(occurs="first")),
            _join("bob"),
            _buy("b1"),
            ("delete_rule", "rule"),
            _refused("invalid_request", _rule()),
            _buy("b2"),
            _expect("10 b1 available | 10 0"),
        ],
    ),
]

# The service has flags of its own, which tests/rewards/test_flags.py raises
STORIES_OF_FLAGS = [
    Story(
        "a flag holds what is pending, once",
        [
            _rule(review="flagged", hold_days=2),
            _join("bob"),
            _buy("b1"),
            _wait(DAY),
            _buy("b2"),
            _wait(DAY),
            ("flag", "bob", "burst"),
            _expect("10 b1 available, 10 b2 in_review | 10 0"),
            _buy("b3"),
            _expect("10 b1 available, 10 b2 in_review, 10 b3 in_review | 10 0"),
            ("decide_all", "approved"),
            ("flag", "bob", "neighbours"),
            _expect("10 b1 available, 10 b2 pending, 10 b3 pending | 10 20"),
        ],
    ),
    Story(
        "a milestone has the flags of those who made it",
        [
            _rule(occurs="each", invitees=2, review="flagged", hold_days=1),
            *_THREE,
            _join("eve"),
            *(_buy(f"{person}1", person) for person in ("bob", "cat", "dan", "eve")),
            ("flag", "bob", "burst"),
            _expect("10 cat1 in_review, 10 eve1 pending | 0 10"),
            ("flag", "dan", "burst"),
            _expect("10 cat1 in_review, 10 eve1 in_review | 0 0"),
        ],
    ),
]
