"""A process that makes 200 events a second: python events.py DATABASE_URL SECONDS USER..."""

from __future__ import annotations

import asyncio
import json
import sys
from datetime import UTC, datetime
from time import monotonic
from uuid import uuid4

from referral.storage import database
from referral.storage.models import Event
from referral.webhooks import outbox

_A_SECOND = 200
_AT_ONCE = 10


async def main(url: str, seconds: int, users: list[str]) -> None:
    await database.connect(url)
    try:
        begun, number = monotonic(), 0
        while monotonic() - begun < seconds:
            await _add(users, number)
            number += _AT_ONCE
            await asyncio.sleep(max(0, begun + number / _A_SECOND - monotonic()))
    finally:
        await database.disconnect()
    sys.stdout.write(f"{number}\n")


async def _add(users: list[str], number: int) -> None:
    """In a transaction, as the service does."""
    now = datetime.now(UTC)  # noqa: TID251 - the clock of a process

    async def work() -> None:
        await outbox.add(
            Event(
                id=uuid4(),
                type="user.phone_changed",
                user_id=users[each % len(users)],
                data=json.dumps({"number": each}),
                at=now,
                next_attempt_at=now,
            )
            for each in range(number, number + _AT_ONCE)
        )

    await database.transaction(work)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), sys.argv[3:]))
