"""Counts messages in a process of its own: delivery_counter.py DATABASE_URL TIME NUMBER PHONE...

TIME: in ISO format. It saves after each of the NUMBER rounds, in which each phone gets a message.
"""

from __future__ import annotations

import asyncio
import sys
from datetime import datetime

from referral.core.channels import Channel
from referral.messaging.deliveries import Deliveries
from referral.storage import database


async def main(url: str, at: datetime, number: int, phones: list[str]) -> None:
    await database.connect(url)
    try:
        deliveries = Deliveries()
        for _ in range(number):
            for phone in phones:
                deliveries.count_sent(phone, Channel.SMS, at)
                deliveries.count_delivered(phone, Channel.SMS, at)
                deliveries.count_used(phone, Channel.SMS, at, seconds=0.5)
            await deliveries.save()
    finally:
        await database.disconnect()


if __name__ == "__main__":
    _, url_given, at_given, number_given, *phones_given = sys.argv
    asyncio.run(main(url_given, datetime.fromisoformat(at_given), int(number_given), phones_given))
