"""Links from users to their inviters: many at once, and never a loop."""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from typing import Generic, TypeVar

T = TypeVar("T")

NOBODY = 0
ELSEWHERE = -1


class Forest(Generic[T]):
    """What many links at once would make of trees that are there.

    roots: for each user who may become an inviter, the root of their tree.
    """

    def __init__(self, roots: Mapping[T, T]) -> None:
        self._roots = roots
        self._above: dict[T, T] = {}

    def link(self, user: T, inviter: T) -> bool:
        """Put the tree of a user without an inviter under another; False where that is its own."""
        top = self._roots[inviter]
        while top in self._above:
            # Each step halves the way for the next who climb it
            above = self._above[top]
            self._above[top] = self._above.get(above, above)
            top = above
        if top == user:
            return False
        self._above[user] = top
        return True


def leaves_first(inviters: Sequence[int]) -> array[int]:
    """An order in which each inviter is still a root when somebody is put under them.

    inviters: for each user, numbered from 1 (the first entry means nothing), the number of the
    inviter, NOBODY, or ELSEWHERE for one who is not numbered. The order has those who have one.

    So nobody climbs long chains to find a root, which would take the square of their length. Of a
    loop, the link of its last user comes last: it is the one that closes the loop. Takes 8 bytes
    for each user.
    """
    waiting = array("i", bytes(4 * len(inviters)))
    for inviter in inviters:
        if inviter > 0:
            waiting[inviter] += 1
    order = array(
        "i", (user for user in range(1, len(inviters)) if inviters[user] and not waiting[user])
    )
    # A list that grows while it is read: those who come free at the end follow
    for user in order:
        inviter = inviters[user]
        if inviter > 0:
            waiting[inviter] -= 1
            if not waiting[inviter] and inviters[inviter]:
                order.append(inviter)
    for last in range(len(inviters) - 1, 0, -1):
        if inviters[last] and waiting[last]:
            user = inviters[last]
            while user != last:
                waiting[user] = 0
                order.append(user)
                user = inviters[user]
            waiting[last] = 0
            order.append(last)
    return order
