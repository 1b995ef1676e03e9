"""Random operations on rewards, each done by the reference model and the service, then compared."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import count
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from reward_sides import ModelSide, Operation, Side

DAY = timedelta(days=1)
SECOND = timedelta(seconds=1)
PEOPLE = ("ann", "bob", "cat", "dan", "eve")
UNITS = ("points", "days")

_people = st.sampled_from(PEOPLE)
_invitees = st.sampled_from(PEOPLE[1:4])
_rules = st.sampled_from(["every", "first", "at", "each", "joined"])
_amounts = st.sampled_from([1, 10, 25])
_spans = st.sampled_from([SECOND, 30 * SECOND, DAY - SECOND, DAY, 7 * DAY, 14 * DAY, 30 * DAY])
# One rule of each kind, with what Hypothesis chooses
_sides = st.sampled_from(["inviter", "invitee"])
_numbers = st.sampled_from([1, 2, 2, 3])
RULES: dict[str, dict[str, Any]] = {
    "every": {"trigger": "buy", "occurs": "every", "beneficiary": _sides, "unit": "points"},
    "first": {"trigger": "buy", "occurs": "first", "beneficiary": _sides, "unit": "points"},
    "at": {"trigger": "buy", "occurs": "at", "invitees": _numbers, "unit": "days"},
    "each": {"trigger": "buy", "occurs": "each", "invitees": _numbers, "unit": "points"},
    "joined": {
        "trigger": "activated",
        "occurs": st.sampled_from(["every", "first"]),
        "beneficiary": _sides,
        "unit": "days",
    },
}
_changing = st.fixed_dictionaries(
    {"amount": _amounts, "hold_days": st.sampled_from([0, 1, 1, 14, 30])},
    optional={
        "review": st.sampled_from(["none", "all"]),
        "cap_total": st.sampled_from([None, 10, 35, 60]),
        "cap_per_month": st.sampled_from([None, 25, 35]),
        "min_value": st.sampled_from([None, 0, 5]),
        "starts_in": st.sampled_from([None, -DAY, -SECOND, DAY]),
    },
)


class Machine(RuleBasedStateMachine):
    """Compares what the model and the service tell after each step.

    make_side: makes the service's side at a time, with empty ledgers, or another to compare with.
    run: runs a coroutine to its end.
    """

    make_side: Callable[[], Any]
    run: Callable[[Any], Any]

    def __init__(self) -> None:
        super().__init__()
        cls = type(self)
        self.other: Side = cls.run(cls.make_side())
        self.own = ModelSide(cls.run(self.other.time()))
        self.model = self.own.model
        self.numbers = count(1)
        self.posted: list[Operation] = []
        self.redeemed: list[Operation] = []

    def teardown(self) -> None:
        type(self).run(self.other.close())

    def do(self, *operation: Any) -> None:
        """Do an operation on both sides."""
        run = type(self).run
        refusal = run(self.own.do(operation))
        assert run(self.other.do(operation)) == refusal, operation

    @invariant()
    def agrees(self) -> None:
        run = type(self).run
        own, other = run(self.own.observe()), run(self.other.observe())
        assert other.rows == own.rows
        assert other.balances == own.balances

    # Rules

    @initialize(data=st.data())
    def make_rules(self, data: st.DataObject) -> None:
        for name, values in RULES.items():
            fixed = {"beneficiary": "inviter"} | {
                key: data.draw(value) if isinstance(value, st.SearchStrategy) else value
                for key, value in values.items()
            }
            self._put(name, fixed, data.draw(_changing))

    @initialize(dans=st.sampled_from(["ann", "bob"]))
    def invite(self, dans: str) -> None:
        self.do("activate", "bob", "ann")
        self.do("activate", "cat", "ann")
        self.do("activate", "dan", dans)

    @rule(name=_rules, changing=_changing)
    def change_rule(self, name: str, changing: dict[str, Any]) -> None:
        known = self.model.rules[name]
        names = ["trigger", "beneficiary", "unit", "occurs"]
        names += ["invitees"] if known.invitees else []
        self._put(name, {each: getattr(known, each) for each in names}, changing)

    def _put(self, name: str, fixed: dict[str, Any], changing: dict[str, Any]) -> None:
        changing = dict(changing)
        starts_in = changing.pop("starts_in", None)
        if starts_in is not None:
            changing["starts_at"] = self.own.now + starts_in
        self.do("put_rule", name, fixed | changing)

    @precondition(lambda self: len(self.posted) > 3)
    @rule(name=_rules)
    def delete_rule(self, name: str) -> None:
        if not self.model.rules[name].is_deleted:
            self.do("delete_rule", name)

    # People

    @rule(person=_people, inviter=_people)
    def activate(self, person: str, inviter: str) -> None:
        can_sign_in = not {person, inviter} & (self.model.deleted | self.model.blocked)
        makes_no_loop = PEOPLE.index(inviter) < PEOPLE.index(person)
        if can_sign_in and makes_no_loop and self.model.present(person) is None:
            self.do("activate", person, inviter)

    @rule(person=_people)
    def void(self, person: str) -> None:
        if self.model.present(person) is not None:
            self.do("void", person)

    @rule(person=_invitees, inviter=st.sampled_from(PEOPLE[:2]))
    def invite_again(self, person: str, inviter: str) -> None:
        """Void an activation, mostly for another one."""
        self.void(person)
        self.activate(person, inviter)

    @precondition(lambda self: len(self.posted) > 5 * (1 + len(self.model.deleted)))
    @rule(person=_people)
    def delete(self, person: str) -> None:
        if person not in self.model.deleted:
            self.do("delete", person)

    @precondition(lambda self: not self.model.blocked)
    @rule(person=_people)
    def block(self, person: str) -> None:
        if person not in self.model.deleted:
            self.do("block", person)

    @precondition(lambda self: self.model.blocked - self.model.deleted)
    @rule()
    def unblock(self) -> None:
        self.do("unblock", min(self.model.blocked - self.model.deleted))

    # Events

    @rule(
        person=_people,
        value=st.sampled_from([None, 0, 5]),
        ago=st.sampled_from([None, None, -60 * SECOND, SECOND, 61 * SECOND, DAY, 20 * DAY]),
    )
    def post(self, person: str, value: int | None, ago: timedelta | None) -> None:
        named: dict[str, datetime | int] = {}
        if value is not None:
            named["value"] = value
        if ago is not None:
            named["occurred_at"] = self.own.now - ago
        self._post(person, named)

    @rule(person=_invitees)
    def post_now(self, person: str) -> None:
        self._post(person, {"value": 5})

    @rule(people=st.lists(_invitees, min_size=2, max_size=3))
    def post_several(self, people: list[str]) -> None:
        for person in people:
            self._post(person, {"value": 5})

    def _post(self, person: str, named: dict[str, Any]) -> None:
        self._post_as(str(next(self.numbers)), person, named)

    def _post_as(self, event_id: str, person: str, named: dict[str, Any]) -> None:
        operation = ("post_event", event_id, "buy", person, named)
        self.do(*operation)
        if operation[1] in self.model.events:
            self.posted.append(operation)

    @precondition(lambda self: self.posted)
    @rule(data=st.data(), person=_people)
    def post_again(self, data: st.DataObject, person: str) -> None:
        name, event_id, type_, known, named = data.draw(st.sampled_from(self.posted))
        self.do(name, event_id, type_, known, named)
        if person != known:
            self.do(name, event_id, type_, person, named)

    @precondition(lambda self: self.posted)
    @rule(data=st.data())
    def reverse(self, data: st.DataObject) -> None:
        self.do("reverse_event", data.draw(st.sampled_from(self.posted))[1], "refund")

    @rule(person=_invitees, ago=st.sampled_from([SECOND, DAY]))
    def post_two_and_reverse_one(self, person: str, ago: timedelta) -> None:
        first = str(next(self.numbers))
        self._post_as(first, person, {"value": 5})
        self._post(person, {"value": 5, "occurred_at": self.own.now - ago})
        if first in self.model.events:
            self.do("reverse_event", first, "refund")

    # Redemptions and decisions

    @rule(person=_people, unit=st.sampled_from(UNITS), amount=_amounts)
    def redeem(self, person: str, unit: str, amount: int) -> None:
        operation = ("redeem", f"r{next(self.numbers)}", person, unit, amount)
        self.do(*operation)
        if operation[1] in self.model.redemptions:
            self.redeemed.append(operation)

    @precondition(lambda self: self.redeemed)
    @rule(data=st.data())
    def redeem_again(self, data: st.DataObject) -> None:
        self.do(*data.draw(st.sampled_from(self.redeemed)))

    @precondition(lambda self: self.redeemed)
    @rule(data=st.data())
    def reverse_redemption(self, data: st.DataObject) -> None:
        self.do("reverse_redemption", data.draw(st.sampled_from(self.redeemed))[1])

    @rule(
        data=st.data(), decision=st.sampled_from(["approved", "rejected"]), at_random=st.booleans()
    )
    def decide(self, data: st.DataObject, decision: str, at_random: bool) -> None:  # noqa: FBT001 - Hypothesis draws it
        rows = type(self).run(self.own.observe()).rows
        waiting = [row for row in rows if row.status == "in_review"]
        if choice := (rows if at_random else waiting):
            self.do("decide", decision, data.draw(st.sampled_from(choice)))

    @rule(span=_spans)
    def wait(self, span: timedelta) -> None:
        self.do("wait", span)
