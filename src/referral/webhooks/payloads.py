"""Build the bodies of events, as docs/webhooks.md lists them.

The outbox holds no phones: they are read from the users at the time of sending.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from referral.storage import rewards, users
from referral.storage.models import Event, User


async def bodies(events: Iterable[Event]) -> dict[int, str]:
    """Return the JSON of `type`, `timestamp` and `data` to send for each event, by sequence.

    Phones are those that users have now, or null for a deleted user.
    """
    events = list(events)
    stored = {event.sequence: json.loads(event.data) for event in events}
    ids = {event.user_id for event in events if event.user_id is not None}
    ids |= {UUID(data["inviter_id"]) for data in stored.values() if "inviter_id" in data}
    known = await users.find_all(ids)
    return {
        event.sequence: msgspec.json.encode(
            {
                "type": event.type,
                "timestamp": event.at,
                "data": _data(event, stored[event.sequence], known),
            }
        ).decode()
        for event in events
    }


async def is_withdrawn(event: Event, *, now: datetime) -> bool:
    """Return whether an event is not sent any more: its reward is not available now."""
    if event.type != "reward.available":
        return False
    return not await rewards.is_announcement_valid(event.id, now=now)


def entry_id(event: Event) -> str | None:
    """Return the id of the entry of the ledger that an event is about, if it is about one."""
    if not event.type.startswith("reward."):
        return None
    stored: dict[str, Any] = json.loads(event.data)
    return str(stored["id"])


def _data(event: Event, stored: dict[str, Any], known: dict[UUID, User]) -> dict[str, Any]:
    if event.user_id is None:
        return stored
    user = known.get(event.user_id)
    about = {"user_id": str(event.user_id), "phone": user.phone if user else None}
    match event.type:
        case "user.created":
            return about | {
                "invite_code": user.invite_code if user else None,
                "created_at": user.created_at if user else event.at,
            }
        case "user.deleted" | "session.ended" | "reward.earned" | "reward.reversed":
            del about["phone"]
            return about | stored
        case "invite.activated" | "invite.voided":
            inviter = known.get(UUID(stored["inviter_id"]))
            return about | stored | {"inviter_phone": inviter.phone if inviter else None}
        case _:
            return about | stored
