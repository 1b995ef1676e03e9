"""The table of cases of rewards: what each kind of rule has earned after some operations.

Nine rules of 10 each, with a hold of 14 days and a unit of their own, count side by side. Bob is
Ann's invitee and has made the event e1 when a case begins. It acts one day later, and in another
run fifteen days later, after the hold.

A cell lists the entries of a rule, then (available, pending): `10 e1 pending | 0 10`. An entry is
its amount, cause and status; one without a status reverses another. They are those of the rule's
beneficiary among Ann and Bob; `; dan: ...` adds those of others. Two cells separated by `>>` are
for before and after the hold. A case without a cell for a kind leaves it as it was, in `UNTOUCHED`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from types import MappingProxyType
from typing import Any, NamedTuple

from reward_sides import Operation

HOLD = timedelta(days=14)
PEOPLE = ("ann", "bob", "cat", "dan", "eve")

# Trigger, beneficiary, occurs
KINDS: dict[str, dict[str, Any]] = {
    "every inviter": {"trigger": "buy", "beneficiary": "inviter", "occurs": "every"},
    "every invitee": {"trigger": "buy", "beneficiary": "invitee", "occurs": "every"},
    "first inviter": {"trigger": "buy", "beneficiary": "inviter", "occurs": "first"},
    "first invitee": {"trigger": "buy", "beneficiary": "invitee", "occurs": "first"},
    "at": {"trigger": "buy", "beneficiary": "inviter", "occurs": "at", "invitees": 1},
    "each": {"trigger": "buy", "beneficiary": "inviter", "occurs": "each", "invitees": 1},
    "joined inviter": {"trigger": "activated", "beneficiary": "inviter", "occurs": "every"},
    "joined invitee": {"trigger": "activated", "beneficiary": "invitee", "occurs": "first"},
    "joined at": {
        "trigger": "activated",
        "beneficiary": "inviter",
        "occurs": "at",
        "invitees": 1,
    },
}
UNITS = {kind: f"unit-{number}" for number, kind in enumerate(KINDS, 1)}

# Cells for several kinds at once
_GROUPS = {
    "every": ("every inviter", "every invitee"),
    "first": ("first inviter", "first invitee"),
    "milestones": ("at", "each"),
    "joined": ("joined inviter", "joined invitee", "joined at"),
    "bought": ("every inviter", "every invitee", "first inviter", "first invitee", "at", "each"),
    "inviter": ("every inviter", "first inviter", "at", "each"),
    "joined inviters": ("joined inviter", "joined at"),
}
UNTOUCHED = {
    "bought": "10 e1 pending | 0 10 >> 10 e1 available | 10 0",
    "joined": "10 activated pending | 0 10 >> 10 activated available | 10 0",
}


class Case(NamedTuple):
    """options: of every rule. `change` in steps changes every rule, `decide_all` every entry."""

    name: str
    steps: list[Operation]
    cells: dict[str, str]
    options: Mapping[str, Any] = MappingProxyType({})


def expected(case: Case) -> dict[str, str]:
    """Return the cell of each kind. A later key of a case overrides an earlier one."""
    cells: dict[str, str] = {}
    for key, cell in (*UNTOUCHED.items(), *case.cells.items()):
        cells |= dict.fromkeys(_GROUPS.get(key, (key,)), cell)
    return cells


_E2: Operation = ("post_event", "e2", "buy", "bob")
_E3: Operation = ("post_event", "e3", "buy", "bob")
_REFUND: Operation = ("reverse_event", "e1", "refund")
_VOID: Operation = ("void", "bob")
_TO_DAN: Operation = ("activate", "bob", "dan")
_DELETE_RULES: list[Operation] = [("delete_rule", kind.replace(" ", "-")) for kind in KINDS]
_ALL_APPROVED: Operation = ("decide_all", "approved")
_ALL_REJECTED: Operation = ("decide_all", "rejected")

_TAKEN = "10 e1 reversed, -10 refund | 0 0"
_VOIDED = "10 e1 reversed, -10 voided | 0 0"
_UNJOINED = "10 activated reversed, -10 voided | 0 0"
_HELD = "10 e1 in_review | 0 0 >> 10 e1 available | 10 0"
_JOINED_HELD = "10 activated in_review | 0 0 >> 10 activated available | 10 0"
_DELETED = "10 e1 reversed, -10 deleted | 0 0 >> 10 e1 available | 10 0"
_JOINED_DELETED = "10 activated reversed, -10 deleted | 0 0 >> 10 activated available | 10 0"

CASES = [
    Case("nothing happens", [], {}),
    Case(
        "a second event",
        [_E2],
        {"every": "10 e1 pending, 10 e2 pending | 0 20 >> 10 e1 available, 10 e2 pending | 10 10"},
    ),
    Case(
        "a second invitee",
        [("activate", "cat", "ann"), ("post_event", "c1", "buy", "cat")],
        {
            "inviter": "10 c1 pending, 10 e1 pending | 0 20"
            " >> 10 c1 pending, 10 e1 available | 10 10",
            "at": UNTOUCHED["bought"],
            "every invitee": "10 e1 pending | 0 10; cat: 10 c1 pending | 0 10"
            " >> 10 e1 available | 10 0; cat: 10 c1 pending | 0 10",
            "first invitee": "10 e1 pending | 0 10; cat: 10 c1 pending | 0 10"
            " >> 10 e1 available | 10 0; cat: 10 c1 pending | 0 10",
            "joined inviter": "10 activated pending, 10 activated pending | 0 20"
            " >> 10 activated available, 10 activated pending | 10 10",
            "joined invitee": "10 activated pending | 0 10; cat: 10 activated pending | 0 10"
            " >> 10 activated available | 10 0; cat: 10 activated pending | 0 10",
        },
    ),
    Case("reversal", [_REFUND], {"bought": _TAKEN}),
    Case("reversal twice", [_REFUND, ("reverse_event", "e1", "again")], {"bought": _TAKEN}),
    Case(
        "reversal, then another event",
        [_REFUND, _E2],
        {"bought": "-10 refund, 10 e1 reversed, 10 e2 pending | 0 10"},
    ),
    Case(
        "reversal, then the event again",
        [_REFUND, ("post_event", "e1", "buy", "bob")],
        {"bought": _TAKEN},
    ),
    Case(
        "reversal of the first of two events",
        [_E2, _REFUND],
        {
            "every": "-10 refund, 10 e1 reversed, 10 e2 pending | 0 10",
            "first": "-10 refund, 10 e1 reversed, 10 e2 pending | 0 10 >> 10 e1 available | 10 0",
        },
    ),
    Case(
        "reversal of the second of two events",
        [_E2, ("reverse_event", "e2", "refund")],
        {
            "every": "-10 refund, 10 e1 pending, 10 e2 reversed | 0 10"
            " >> -10 refund, 10 e1 available, 10 e2 reversed | 10 0",
        },
    ),
    Case(
        "reversal of both events",
        [_E2, _REFUND, ("reverse_event", "e2", "sorry")],
        {
            "every": "-10 refund, -10 sorry, 10 e1 reversed, 10 e2 reversed | 0 0",
            "first": "-10 refund, -10 sorry, 10 e1 reversed, 10 e2 reversed | 0 0"
            " >> -10 sorry, 10 e1 reversed | 0 0",
            "milestones": "-10 sorry, 10 e1 reversed | 0 0",
        },
    ),
    Case("void", [_VOID], {"bought": _VOIDED, "joined": _UNJOINED}),
    Case(
        "void and a new inviter",
        [_VOID, _TO_DAN, _E2],
        {
            "inviter": f"{_VOIDED}; dan: 10 e2 pending | 0 10",
            "every invitee": "-10 voided, 10 e1 reversed, 10 e2 pending | 0 10",
            "first invitee": "-10 voided, 10 e1 reversed, 10 e2 pending | 0 10",
            "joined inviters": f"{_UNJOINED}; dan: 10 activated pending | 0 10",
            "joined invitee": "-10 voided, 10 activated pending, 10 activated reversed | 0 10",
        },
    ),
    Case(
        "void and the same inviter",
        [_VOID, ("activate", "bob", "ann"), _E2],
        {"bought": _VOIDED, "joined": _UNJOINED},
    ),
    Case(
        "void and an earlier inviter after another",
        [_VOID, _TO_DAN, _VOID, ("activate", "bob", "ann"), _E2],
        {
            "bought": _VOIDED,
            "joined inviters": f"{_UNJOINED}; dan: {_UNJOINED}",
            "joined invitee": "-10 voided, -10 voided, 10 activated reversed,"
            " 10 activated reversed | 0 0",
        },
    ),
    Case("reversal after a void", [_VOID, _REFUND], {"bought": _VOIDED, "joined": _UNJOINED}),
    Case(
        "deletion of the invitee",
        [("delete", "bob")],
        {"bought": _DELETED, "milestones": UNTOUCHED["bought"], "joined": _JOINED_DELETED}
        | {"joined at": UNTOUCHED["joined"]},
    ),
    Case(
        "deletion of the invitee, then reversal",
        [("delete", "bob"), _REFUND],
        {
            "bought": "10 e1 reversed, -10 deleted | 0 0 >> 10 e1 reversed, -10 refund | 0 0",
            "milestones": _TAKEN,
            "joined": _JOINED_DELETED,
            "joined at": UNTOUCHED["joined"],
        },
    ),
    Case(
        "deletion of the invitee, then void",
        [("delete", "bob"), _VOID],
        {
            "bought": "10 e1 reversed, -10 deleted | 0 0 >> 10 e1 reversed, -10 voided | 0 0",
            "milestones": _VOIDED,
            "joined": "10 activated reversed, -10 deleted | 0 0"
            " >> 10 activated reversed, -10 voided | 0 0",
            "joined at": _UNJOINED,
        },
    ),
    Case(
        "deletion of the inviter, then an event",
        [("delete", "ann"), _E2],
        {
            "inviter": _DELETED,
            "joined inviters": _JOINED_DELETED,
            "every invitee": "10 e1 pending, 10 e2 pending | 0 20"
            " >> 10 e1 available, 10 e2 pending | 10 10",
        },
    ),
    Case(
        "deletion of the inviter, then reversal of the first of two events",
        [_E2, ("delete", "ann"), _REFUND],
        {
            "every inviter": "-10 deleted, -10 deleted, 10 e1 reversed, 10 e2 reversed | 0 0"
            " >> -10 deleted, -10 refund, 10 e1 reversed, 10 e2 reversed | 0 0",
            "first inviter": _DELETED,
            "milestones": _DELETED,
            "joined inviters": _JOINED_DELETED,
            "every invitee": "-10 refund, 10 e1 reversed, 10 e2 pending | 0 10",
            "first invitee": "-10 refund, 10 e1 reversed, 10 e2 pending | 0 10"
            " >> 10 e1 available | 10 0",
        },
    ),
    Case(
        "block of the invitee, then an event",
        [("block", "bob"), _E2],
        {
            "bought": _HELD,
            "joined": _JOINED_HELD,
            "every": "10 e1 in_review, 10 e2 in_review | 0 0"
            " >> 10 e1 available, 10 e2 in_review | 10 0",
        },
    ),
    Case(
        "block of the inviter, then an event",
        [("block", "ann"), _E2],
        {
            "inviter": _HELD,
            "joined inviters": _JOINED_HELD,
            "every inviter": "10 e1 in_review, 10 e2 in_review | 0 0"
            " >> 10 e1 available, 10 e2 in_review | 10 0",
            "every invitee": "10 e1 pending, 10 e2 pending | 0 20"
            " >> 10 e1 available, 10 e2 pending | 10 10",
        },
    ),
    Case(
        "a block that has ended, and an event",
        [("block", "bob"), ("unblock", "bob"), _E2],
        {
            "bought": _HELD,
            "joined": _JOINED_HELD,
            "every": "10 e1 in_review, 10 e2 pending | 0 10"
            " >> 10 e1 available, 10 e2 pending | 10 10",
        },
    ),
    Case("approval during a block", [("block", "bob"), _ALL_APPROVED], {}),
    Case(
        "block after an approval",
        [("block", "bob"), _ALL_APPROVED, ("unblock", "bob"), ("block", "bob")],
        {"bought": _HELD, "joined": _JOINED_HELD},
    ),
    Case(
        "reversal of the first of two events during a block",
        [("block", "bob"), _E2, _REFUND],
        {
            "every": "-10 refund, 10 e1 reversed, 10 e2 in_review | 0 0",
            "first": "-10 refund, 10 e1 reversed, 10 e2 in_review | 0 0 >> 10 e1 available | 10 0",
            "milestones": _HELD,
            "joined": _JOINED_HELD,
        },
    ),
    Case(
        "a cap, then reversal and a third event",
        [_E2, _REFUND, _E3],
        {
            "every": "-10 refund, 10 e1 reversed, 10 e3 pending | 0 10",
            "first": "-10 refund, 10 e1 reversed, 10 e2 pending | 0 10 >> 10 e1 available | 10 0",
        },
        {"cap_total": 15},
    ),
    Case(
        "a cap, then void and a new inviter without it",
        [_VOID, ("change", {"cap_total": None}), _TO_DAN, _E3],
        {
            "inviter": " | 0 0; dan: 10 e3 pending | 0 10",
            "every invitee": "10 e3 pending | 0 10",
            "first invitee": " | 0 0",
            "joined inviters": " | 0 0; dan: 10 activated pending | 0 10",
            "joined invitee": " | 0 0",
        },
        {"cap_total": 9},
    ),
    Case(
        "a cap that is gone does not earn what it prevented",
        [_E2, _REFUND, ("change", {"cap_total": None}), _E3],
        {"every": "10 e3 pending | 0 10", "first": " | 0 0", "milestones": " | 0 0"}
        | {"joined": " | 0 0"},
        {"cap_total": 9},
    ),
    Case(
        "rejection, then reversal of the first of two events",
        [_ALL_REJECTED, _E2, _REFUND],
        {
            "bought": "10 e1 rejected | 0 0",
            "every": "10 e1 rejected, 10 e2 in_review | 0 0",
            "joined": "10 activated rejected | 0 0",
        },
        {"review": "all"},
    ),
    Case(
        "rejection, then void and a new inviter",
        [_ALL_REJECTED, _VOID, _TO_DAN, _E2],
        {
            "inviter": "10 e1 rejected | 0 0; dan: 10 e2 in_review | 0 0",
            "every invitee": "10 e1 rejected, 10 e2 in_review | 0 0",
            "first invitee": "10 e1 rejected | 0 0",
            "joined inviters": "10 activated rejected | 0 0; dan: 10 activated in_review | 0 0",
            "joined invitee": "10 activated rejected | 0 0",
        },
        {"review": "all"},
    ),
    Case(
        "reversal of the first of two events in review",
        [_E2, _REFUND],
        {
            "every": "-10 refund, 10 e1 reversed, 10 e2 in_review | 0 0",
            "first": "-10 refund, 10 e1 reversed, 10 e2 in_review | 0 0",
            "milestones": "10 e1 in_review | 0 0",
            "joined": "10 activated in_review | 0 0",
        },
        {"review": "all"},
    ),
    Case("approval", [_ALL_APPROVED], {}, {"review": "all"}),
    Case(
        "a changed rule, then reversal of the first of two events",
        [("change", {"amount": 25}), _E2, _REFUND],
        {
            "every": "-10 refund, 10 e1 reversed, 25 e2 pending | 0 25",
            "first": "-10 refund, 10 e1 reversed, 25 e2 pending | 0 25 >> 10 e1 available | 10 0",
        },
    ),
    Case(
        "a deleted rule, then an event and reversal",
        [*_DELETE_RULES, _E2, _REFUND],
        {"bought": _TAKEN},
    ),
    Case(
        "a rule deleted after the second event, then reversal",
        [_E2, *_DELETE_RULES, _REFUND],
        {
            "every": "-10 refund, 10 e1 reversed, 10 e2 pending | 0 10",
            "first": "-10 refund, 10 e1 reversed, 10 e2 pending | 0 10 >> 10 e1 available | 10 0",
        },
    ),
]
