"""Many links at once: never a loop, and in an order in which roots are near."""

from __future__ import annotations

from random import Random

from hypothesis import example, given
from hypothesis import strategies as st

from referral.import_export.forest import ELSEWHERE, NOBODY, Forest, leaves_first

# The inviter of each of some users, numbered from 1
INVITERS = st.integers(1, 30).flatmap(
    lambda size: st.lists(st.integers(ELSEWHERE, size), min_size=size, max_size=size)
)


@given(INVITERS)
@example([1])
@example([2, 3, 1])
@example([2, 1, 2, 4])
def test_everybody_with_an_inviter_comes_once(inviters: list[int]) -> None:
    order = list(leaves_first([NOBODY, *inviters]))
    assert sorted(order) == [user for user, each in enumerate(inviters, 1) if each != NOBODY]


@given(INVITERS)
def test_each_inviter_is_still_a_root_when_somebody_is_put_under_them(inviters: list[int]) -> None:
    """But for the last link of a loop, which is no link for that reason."""
    linked: set[int] = set()
    for user in leaves_first([NOBODY, *inviters]):
        inviter = inviters[user - 1]
        if inviter in linked:
            assert user == max(loop_from(user, inviters))
        linked.add(user)


@given(INVITERS)
def test_of_each_loop_the_link_of_its_last_user_is_refused_and_no_other(
    inviters: list[int],
) -> None:
    trees = Forest({user: user for user in range(1, len(inviters) + 1)})
    refused = {
        user
        for user in leaves_first([NOBODY, *inviters])
        if inviters[user - 1] != ELSEWHERE and not trees.link(user, inviters[user - 1])
    }
    loops = {
        max(loop) for user in range(1, len(inviters) + 1) if (loop := loop_from(user, inviters))
    }
    assert refused == loops


@given(INVITERS, st.randoms(use_true_random=False))
def test_a_link_is_refused_where_and_only_where_it_would_close_a_loop(
    inviters: list[int],
    random: Random,
) -> None:
    """Whatever the order, as climbing from link to link would find."""
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


def test_links_go_under_the_roots_of_trees_that_are_there() -> None:
    """As two stand under a here: so a may go under d, and not under c."""
    trees = Forest({"b": "a", "c": "a", "d": "d"})
    assert not trees.link("a", "c")
    assert trees.link("a", "d")
    assert not trees.link("d", "b")


def test_a_chain_of_a_hundred_thousand_is_put_in_order_at_once() -> None:
    """Each was invited by the one before; the last comes first."""
    size = 100_000
    order = leaves_first([NOBODY, *range(size)])
    assert list(order) == list(range(size, 1, -1))


def loop_from(user: int, inviters: list[int]) -> set[int]:
    """The loop that this user is in, or nothing."""
    loop, climbed = {user}, inviters[user - 1]
    while climbed > 0 and climbed not in loop:
        loop.add(climbed)
        climbed = inviters[climbed - 1]
    return loop if climbed == user else set()
