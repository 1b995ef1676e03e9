"""The reference model and the service (reward_service.py) behind one interface.

People, rules and ids are short names.
An operation is a tuple, such as `("post_event", "e1", "purchase", "bob", {"value": 5})`: its name,
its arguments and, if needed, a last one with the named arguments of the model's method.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, NamedTuple, Protocol, TypeAlias

from reward_model import Refused, RewardModel
from reward_records import Entry

START = datetime(2031, 1, 10, tzinfo=UTC)
Operation: TypeAlias = tuple[Any, ...]


class Row(NamedTuple):
    """An entry as both sides tell it. reverses: the rule and the cause of the reversed entry."""

    user: str
    rule: str | None
    version: int | None
    unit: str
    amount: int
    cause: str
    status: str
    about: str | None
    created_at: datetime
    available_at: datetime | None
    reverses: tuple[str | None, str] | None


class Observed(NamedTuple):
    """rows: sorted. balances: (available, pending) by person and unit, without those of zero."""

    rows: list[Row]
    balances: dict[tuple[str, str], tuple[int, int]]


class Side(Protocol):
    """One of two that must agree."""

    async def do(self, operation: Operation) -> str | None:
        """Return the code of the refusal, if it is refused."""

    async def observe(self) -> Observed:
        """Return the entries and balances of everybody."""

    async def time(self) -> datetime: ...

    async def close(self) -> None: ...


class ModelSide:
    """The reference model, with a clock of its own."""

    def __init__(self, now: datetime = START) -> None:
        self.model = RewardModel()
        self.now = now

    async def time(self) -> datetime:
        return self.now

    async def close(self) -> None:
        """Do nothing."""

    async def do(self, operation: Operation) -> str | None:
        name, arguments, named = parts(operation)
        try:
            match name:
                case "wait":
                    self.now += arguments[0]
                case "decide":
                    decision, row = arguments
                    self.model.decide(self._entry(row), decision)
                case "delete_rule" | "unblock":
                    getattr(self.model, name)(*arguments)
                case _:
                    getattr(self.model, name)(self.now, *arguments, **named)
        except Refused as refusal:
            return str(refusal)
        return None

    async def observe(self) -> Observed:
        rows = sorted(map(self._row, self.model.entries), key=str)
        found = {name: self.model.balances(self.now, name) for name in {row.user for row in rows}}
        return Observed(
            rows,
            {
                (name, unit): sums
                for name, balances in found.items()
                for unit, sums in balances.items()
                if sums != (0, 0)
            },
        )

    def _entry(self, row: Row) -> Entry:
        return next(entry for entry in self.model.entries if self._row(entry) == row)

    def _row(self, entry: Entry) -> Row:
        target = entry.reverses
        return Row(
            user=entry.user,
            rule=_name(entry),
            version=entry.version.number if entry.version else None,
            unit=entry.unit,
            amount=entry.amount,
            cause=entry.cause,
            status=entry.status(self.now),
            about=entry.about,
            created_at=entry.created_at,
            available_at=entry.available_at,
            reverses=(_name(target), target.cause) if target else None,
        )


def parts(operation: Operation) -> tuple[str, tuple[Any, ...], dict[str, Any]]:
    """Return the name of an operation, its arguments and its named arguments."""
    name, *arguments = operation
    named = arguments.pop() if arguments and isinstance(arguments[-1], dict) else {}
    return name, tuple(arguments), named


def _name(entry: Entry) -> str | None:
    return entry.rule.name if entry.rule else None
