"""Opens: how often the page of an invite link was read, by a browser rather than a bot.

Only the number is kept, by user and day: neither who opened the link nor from where. Each process
counts in memory, so that the page waits for nothing, and every two seconds adds its counts to the
database.
"""

from __future__ import annotations

from collections import Counter
from datetime import datetime

from referral.storage import invite_opens as invite_open_queries


class InviteOpens:
    """The opens that this process has counted and not saved yet."""

    def __init__(self) -> None:
        self._unsaved: Counter[tuple[str, str]] = Counter()

    def add(self, invite_code: str, now: datetime) -> None:
        """Count an open of a parsed code. If the code cannot be activated, `save` drops it.

        So the page needs no further query, also if it did not look the code up because its address
        has made too many tries.
        """
        self._unsaved[invite_code, now.date().isoformat()] += 1

    async def save(self, *, invites_per_user: int = 0) -> None:
        """Add this process's counts to the database. If that fails, the next save adds them.

        invites_per_user: see core/sign_up.py.
        Only if the connection is lost while the transaction commits may they be counted twice.
        """
        counted, self._unsaved = self._unsaved, Counter()
        if not counted:
            return
        try:
            await invite_open_queries.add(counted, invites_per_user=invites_per_user)
        except BaseException:
            self._unsaved.update(counted)
            raise
