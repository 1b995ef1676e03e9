"""What the team's receiver is told of: written as it happens, sent by deliveries.py.

Its functions are for outcomes.py alone. Without a receiver, nothing is written.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from referral.context import Context
from referral.core import ids
from referral.storage import database
from referral.storage.models import AuditEntry, Event
from referral.webhooks import outbox

# By the action that the audit trail has
_TYPES = {
    "user_created": "user.created",
    "invite_activated": "invite.activated",
    "invite_voided": "invite.voided",
    "phone_changed": "user.phone_changed",
    "account_deleted": "user.deleted",
}


@dataclass(frozen=True, slots=True)
class Activation:
    """An invite code that was activated or voided."""

    inviter_id: UUID
    invite_code: str
    inviter_invitee_count: int
    """Right after it."""


async def add(
    ctx: Context, entries: Iterable[AuditEntry], *, activation: Activation | None
) -> None:
    """Those of these entries that the receiver is told of. To be called inside the transaction
    that writes them.

    activation: what the entries about an invite code are about.
    """
    if ctx.endpoint is None:
        return
    events = []
    for entry in entries:
        if kind := _TYPES.get(entry.action):
            facts: dict[str, Any] = {}
            if activation is not None and kind.startswith("invite."):
                facts = {
                    "inviter_id": str(activation.inviter_id),
                    "invite_code": activation.invite_code,
                    "inviter_invitee_count": activation.inviter_invitee_count,
                }
            events.append(_event(entry.id, kind, entry.at, facts, entry.user_id))
    if events:
        await _send_off(ctx, events)


async def add_message_blocked(ctx: Context, *, reason: str, country: str, phone: str) -> None:
    """A message that the cost guard refused. phone: masked."""
    if ctx.endpoint is None:
        return
    facts = {"reason": reason, "country": country, "phone": phone}
    event = _event(ids.new(ctx.token_bytes), "message.blocked", ctx.clock(), facts)
    await _send_off(ctx, [event])


def _event(
    event_id: UUID, kind: str, at: datetime, facts: dict[str, Any], user_id: UUID | None = None
) -> Event:
    data = json.dumps(facts, ensure_ascii=False)
    return Event(id=event_id, type=kind, user_id=user_id, data=data, at=at, next_attempt_at=at)


async def _send_off(ctx: Context, events: list[Event]) -> None:
    await outbox.add(events)
    database.after_commit(ctx.events_wait.set)
