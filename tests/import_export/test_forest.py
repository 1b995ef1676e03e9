"""Linking many users without loops, in linear time."""

from __future__ import annotations

from random import Random

from hypothesis import example, given
from hypothesis import strategies as st

from referral.import_export.forest import EXTERNAL, NO_INVITER, Forest, leaves_first

# The inviter of each of some users, numbered from 1
INVITERS = st.integers(1, 30).flatmap(
    lambda size: st.lists(st.integers(EXTERNAL, size), min_size=size, max_size=size)
)


@given(INVITERS)
@example([1])
@example([2, 3, 1])
@example([2, 1, 2, 4])
def test_everybody_with_an_inviter_appears_once(inviters: list[int]) -> None:
    order = list(leaves_first([NO_INVITER, *inviters]))
    assert sorted(order) == [user for user, each in enumerate(inviters, 1) if each != NO_INVITER]


@given(INVITERS)
def test_each_inviter_is_still_a_root_when_linked_to(inviters: list[int]) -> None:
    """Except for the last link of a loop, which is refused for that reason."""
    linked: set[int] = set()
    for user in leaves_first([NO_INVITER, *inviters]):
        inviter = inviters[user - 1]
        if inviter in linked:
            assert user == max(loop_from(user, inviters))
        linked.add(user)


@given(INVITERS)
def test_only_the_last_users_link_of_a_loop_is_refused(
    inviters: list[int],
) -> None:
    trees = Forest({user: user for user in range(1, len(inviters) + 1)})
    refused = {
        user
        for user in leaves_first([NO_INVITER, *inviters])
        if inviters[user - 1] != EXTERNAL and not trees.link(user, inviters[user - 1])
    }
    loops = {
        max(loop) for user in range(1, len(inviters) + 1) if (loop := loop_from(user, inviters))
    }
    assert refused == loops


@given(INVITERS, st.randoms(use_true_random=False))
def test_a_link_is_refused_if_and_only_if_it_closes_a_loop(
    inviters: list[int],
    random: Random,
) -> None:
    """In any order, as a plain walk to the root would find."""
    users = [user for user, each in enumerate(inviters, 1) if each > 0]
    random.shuffle(users)
    trees = Forest({user: user for user in range(1, len(inviters) + 1)})
    above: dict[int, int] = {}
    for user in users:
        top = inviters[user - 1]
        while top in above:
            top = above[top]
        assert trees.link(user, inviters[user - 1]) == (top != user)
        if top != user:
            above[user] = inviters[user - 1]


def test_links_extend_existing_trees() -> None:
    """Since b and c are under a, a can go under d, but not under c."""
    trees = Forest({"b": "a", "c": "a", "d": "d"})
    assert not trees.link("a", "c")
    assert trees.link("a", "d")
    assert not trees.link("d", "b")


def test_a_chain_of_a_hundred_thousand_is_ordered() -> None:
    """Each was invited by the previous one; the last one comes first."""
    size = 100_000
    order = leaves_first([NO_INVITER, *range(size)])
    assert list(order) == list(range(size, 1, -1))


def loop_from(user: int, inviters: list[int]) -> set[int]:
    """Return the users of the loop that this user is in, if any."""
    loop, climbed = {user}, inviters[user - 1]
    while climbed > 0 and climbed not in loop:
        loop.add(climbed)
        climbed = inviters[climbed - 1]
    return loop if climbed == user else set()
