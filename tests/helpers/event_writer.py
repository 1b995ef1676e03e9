"""Adds 200 events a second in a process: event_writer.py DATABASE_URL SECONDS USER_ID..."""

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

_PER_SECOND = 200
_BATCH = 10


async def main(url: str, seconds: int, user_ids: list[str]) -> None:
    """Add numbered events, and print how many."""
    await database.connect(url)
    try:
        started, number = monotonic(), 0
        while monotonic() - started < seconds:
            await _add(user_ids, number)
            number += _BATCH
            await asyncio.sleep(max(0, started + number / _PER_SECOND - monotonic()))
    finally:
        await database.disconnect()
    sys.stdout.write(f"{number}\n")


async def _add(user_ids: list[str], first: int) -> None:
    """Add a batch in one transaction, as the service does."""
    now = datetime.now(UTC)  # noqa: TID251 - this process has no other clock

    async def work() -> None:
        await outbox.add(
            Event(
                id=uuid4(),
                type="user.phone_changed",
                user_id=user_ids[number % len(user_ids)],
                data=json.dumps({"number": number}),
                at=now,
                next_attempt_at=now,
            )
            for number in range(first, first + _BATCH)
        )

    await database.transaction(work)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), sys.argv[3:]))
