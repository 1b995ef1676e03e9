"""The table of cases: the rewards after a second event, a reversal, a void and so on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import Any

import pytest

from reward_cases import CASES, HOLD, KINDS, PEOPLE, UNITS, Case, expected
from reward_service import ServiceSide
from reward_sides import ModelSide, Operation, Row, Side
from reward_stories import STORIES, STORIES_OF_FLAGS, Story
from support import Service

DAY = timedelta(days=1)
TIMINGS = {"before the hold ends": DAY, "after the hold": HOLD + DAY}

each_case = pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
each_timing = pytest.mark.parametrize("timing", TIMINGS)
each_story = pytest.mark.parametrize("story", STORIES, ids=[story.name for story in STORIES])
each_flag = pytest.mark.parametrize(
    "story", STORIES_OF_FLAGS, ids=[story.name for story in STORIES_OF_FLAGS]
)


@each_case
@each_timing
async def test_table_on_the_model(case: Case, timing: str) -> None:
    """The reference model gives what the table says, which was written by hand."""
    await _play_case(ModelSide(), case, timing)


@each_case
@each_timing
async def test_table_on_the_service(service: Service, case: Case, timing: str) -> None:
    """The service gives what the table says."""
    side = await ServiceSide.start(service, _people(case.steps))
    await _play_case(side, case, timing)


@each_story
async def test_stories_on_the_model(story: Story) -> None:
    """The reference model goes through the stories as they were written by hand."""
    await _play(ModelSide(), story.steps)


@each_flag
async def test_flags_on_the_model(story: Story) -> None:
    """Flags that the test gives hold entries for review."""
    await _play(ModelSide(), story.steps)


@each_story
async def test_stories_on_the_service(service: Service, story: Story) -> None:
    """The service goes through the stories as they were written by hand."""
    side = await ServiceSide.start(service, _people(story.steps))
    await _play(side, story.steps)


def _people(steps: Iterable[Operation]) -> list[str]:
    """Return who takes part."""
    named = str(steps)
    return [name for name in PEOPLE if name in {"ann", "bob"} or f"'{name}'" in named]


async def _play_case(side: Side, case: Case, timing: str) -> None:
    given = {"amount": 10, "hold_days": HOLD.days, **case.options}
    await _change(side, given)
    await _play(side, [("activate", "bob", "ann"), ("post_event", "e1", "buy", "bob")])
    await _play(side, [("wait", TIMINGS[timing])])
    for step in case.steps:
        if step[0] == "change":
            await _change(side, {**given, **step[1]})
        else:
            await _play(side, [step])
    half = list(TIMINGS).index(timing)
    wanted = {
        (kind, person): _sorted(cell)
        for kind, both in expected(case).items()
        for person, cell in _by_person(kind, both.split(" >> ")[-1 if half else 0])
    }
    assert await _cells(side, wanted) == wanted


async def _change(side: Side, given: dict[str, Any]) -> None:
    """Make or change every rule of the table."""
    for kind, fixed in KINDS.items():
        rule = {**fixed, "unit": UNITS[kind], **given}
        assert await side.do(("put_rule", kind.replace(" ", "-"), rule)) is None


def _by_person(kind: str, cell: str) -> Iterator[tuple[str, str]]:
    """Split what a cell tells, for each person; empty for those whom it does not name."""
    own, *others = cell.split("; ")
    told = {"bob" if kind.endswith("invitee") else "ann": own}
    told |= dict(other.split(": ") for other in others)
    return ((person, told.get(person, " | 0 0")) for person in PEOPLE)


async def _cells(side: Side, wanted: Iterable[tuple[str, str]]) -> dict[tuple[str, str], str]:
    rows, balances = await side.observe()
    return {
        (kind, person): _cell(
            [row for row in rows if (row.unit, row.user) == (UNITS[kind], person)],
            balances.get((person, UNITS[kind]), (0, 0)),
        )
        for kind, person in wanted
    }


async def _play(side: Side, steps: Iterable[Operation]) -> None:
    """Do the steps. None is refused except after `refused`; `expect` compares a person's points."""
    for step in steps:
        match step:
            case ("refused", code, operation):
                assert await side.do(operation) == code, operation
            case ("decide_all", decision):
                for row in await _rows(side, "in_review"):
                    assert await side.do(("decide", decision, row)) is None, row
            case ("decide_same", decision):
                for row in await _rows(side, "pending", "available"):
                    assert await side.do(("decide", decision, row)) is None, row
            case ("refuse_decision", decision):
                for row in await _rows(side, "pending", "available"):
                    assert await side.do(("decide", decision, row)) == "review_conflict", row
            case ("expect", person, cell):
                rows, balances = await side.observe()
                own = [row for row in rows if row.user == person]
                sums = balances.get((person, "points"), (0, 0))
                assert _cell(own, sums) == _sorted(cell), step
            case _:
                assert await side.do(step) is None, step


async def _rows(side: Side, *statuses: str) -> list[Row]:
    return [row for row in (await side.observe()).rows if row.status in statuses]


def _cell(rows: Iterable[Row], balances: tuple[int, int]) -> str:
    entries = (
        f"{row.amount} {row.cause}" + ("" if row.reverses else f" {row.status}") for row in rows
    )
    return _sorted(f"{', '.join(entries)} | {balances[0]} {balances[1]}")


def _sorted(cell: str) -> str:
    """Return a cell with its entries in a fixed order."""
    entries, balances = cell.split(" | ")
    return " | ".join((", ".join(sorted(each.strip() for each in entries.split(","))), balances))
