"""Trees of inviters, to link many users without closing a loop."""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from typing import Generic, TypeVar

T = TypeVar("T")

NO_INVITER = 0
EXTERNAL = -1


class Forest(Generic[T]):
    """Existing trees of inviters, and the links added to them so far.

    roots: for each user who may become an inviter, the root of their tree.
    """

    def __init__(self, roots: Mapping[T, T]) -> None:
        self._roots = roots
        self._above: dict[T, T] = {}

    def link(self, user: T, inviter: T) -> bool:
        """Put a user who is a root under the inviter. Return False if that would close a loop."""
        top = self._roots[inviter]
        while top in self._above:
            # Path halving: each climb halves the path for the next one (R. E. Tarjan and J. van
            # Leeuwen, "Worst-case analysis of set union algorithms", 1984)
            above = self._above[top]
            self._above[top] = self._above.get(above, above)
            top = above
        if top == user:
            return False
        self._above[user] = top
        return True


def leaves_first(inviters: Sequence[int]) -> array[int]:
    """Return the users who have an inviter, ordered so that users are linked before their inviter.

    inviters: for each user, numbered from 1 (the first entry is not used), the number of the
    inviter, NO_INVITER, or EXTERNAL for an inviter without a number.

    Each inviter is then still a root, so no link has to climb a long chain to find its root, which
    would take quadratic time. In a loop the link of the user with the highest number comes last: it
    is the one that would close the loop. Needs 8 bytes for each user.
    """
    # For each user, how many invitees are not in the order yet
    waiting = array("i", bytes(4 * len(inviters)))
    for inviter in inviters:
        if inviter > 0:
            waiting[inviter] += 1
    order = array(
        "i", (user for user in range(1, len(inviters)) if inviters[user] and not waiting[user])
    )
    # The array grows while it is read: an inviter follows once all their invitees are in it
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
