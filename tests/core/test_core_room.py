"""How many requests a process works on at once."""

from __future__ import annotations

from itertools import count

import pytest

from referral.core.concurrency import CROWD, OTHERS, READS, Room

NOW = 1000.0


def fill(room: Room, *, is_read: bool = False, now: float = NOW) -> int:
    """How many get in until the first does not."""
    return next(number for number in count() if not room.enter(is_read=is_read, now=now))


def crowded() -> Room:
    """A room into which its crowd has come, and gone."""
    room = Room()
    for _ in range(fill(room)):
        room.leave()
    return room


def test_a_crowd_is_let_in_once() -> None:
    assert fill(Room()) == OTHERS + CROWD
    assert fill(crowded()) == OTHERS


def test_reads_are_refused_before_the_others() -> None:
    room = crowded()
    assert fill(room, is_read=True) == READS
    assert fill(room) == OTHERS - READS
    assert not room.enter(is_read=True, now=NOW)


def test_who_leaves_makes_room_for_one() -> None:
    room = crowded()
    fill(room)
    room.leave()
    assert fill(room) == 1


def test_what_is_refused_takes_no_room() -> None:
    room = crowded()
    fill(room)
    taken = room.taken
    assert not room.enter(is_read=False, now=NOW)
    assert room.taken == taken


@pytest.mark.parametrize(
    ("seconds", "more"), [(0, 0), (6, CROWD // 10), (60, CROWD), (6000, CROWD)]
)
def test_a_crowd_may_come_again_after_a_while(seconds: float, more: int) -> None:
    assert fill(crowded(), now=NOW + seconds) == pytest.approx(OTHERS + more, abs=1)


def test_what_waits_aside_takes_no_room_and_has_it_when_it_is_back() -> None:
    room = crowded()
    room.enter(is_read=False, now=NOW)
    with room.aside():
        assert fill(room) == OTHERS
    assert room.taken == OTHERS + 1


def test_what_breaks_aside_is_counted_again() -> None:
    room = Room()
    room.enter(is_read=False, now=NOW)
    with pytest.raises(ValueError, match="gateway"), room.aside():
        raise ValueError("gateway")
    assert room.taken == 1
