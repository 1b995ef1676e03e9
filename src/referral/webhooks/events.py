"""Write events for the webhook endpoint into the outbox, which the dispatcher sends.

audit.py and service/sessions.py write them in the transaction of the changes that they
report, so an event exists if and only if the change was committed. The cost guard writes them too.
Without an endpoint nobody writes any.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, get_args
from uuid import UUID

from referral.context import Context
from referral.core import ids
from referral.storage import database
from referral.storage.models import AuditEntry, Event
from referral.storage.sessions import EndedSession
from referral.webhooks import outbox

_BLOCKED = "message.blocked"
_SESSION_ENDED = "session.ended"
# By the action in the audit trail
_TYPES = {
    "user_created": "user.created",
    "phone_changed": "user.phone_changed",
    "account_deleted": "user.deleted",
    "invite_activated": "invite.activated",
    "invite_voided": "invite.voided",
}
RewardType = Literal["reward.earned", "reward.available", "reward.reversed"]
TYPES = (*_TYPES.values(), _SESSION_ENDED, *get_args(RewardType), _BLOCKED)

EndReason = Literal["signed_out", "reused", "blocked", "deleted", "phone_changed", "client_deleted"]
"""Why a session ended, other than by its time."""


@dataclass(frozen=True, slots=True)
class InviteChange:
    """An invite code that was activated or voided."""

    inviter_id: UUID
    invite_code: str
    inviter_invitee_count: int
    """After this activation or voiding."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Announcement:
    """An event about a reward. at: when it happens, before which it is not delivered.

    user_id: the user in whose order it is delivered; None for an event outside that order.
    """

    id: UUID
    type: RewardType
    at: datetime
    data: dict[str, Any]
    user_id: UUID | None


async def add(
    ctx: Context, entries: Iterable[AuditEntry], *, activation: InviteChange | None
) -> None:
    """Write the events for these audit entries. Call it in the transaction that writes them.

    An action that is not in _TYPES has no event. activation: required if an entry is about an
    invite code.
    """
    if ctx.endpoint is None:
        return
    events = []
    for entry in entries:
        if event_type := _TYPES.get(entry.action):
            data: dict[str, Any] = {}
            if activation is not None and event_type.startswith("invite."):
                data = {
                    "inviter_id": str(activation.inviter_id),
                    "invite_code": activation.invite_code,
                    "inviter_invitee_count": activation.inviter_invitee_count,
                }
            events.append(_event(entry.id, event_type, entry.at, data, entry.user_id))
    if events:
        await _add(ctx, events)


async def add_sessions_ended(
    ctx: Context, sessions: Iterable[EndedSession], *, reason: EndReason
) -> None:
    """Write an event for each session. Call it in the transaction that ends them."""
    if ctx.endpoint is None:
        return
    ended = [
        _event(
            ids.new(ctx.token_bytes),
            _SESSION_ENDED,
            ctx.clock(),
            {
                "sid": str(session.id),
                # As in the session's access tokens
                "client_id": session.client_id or ctx.issuer.audience,
                "reason": reason,
            },
            session.user_id,
        )
        for session in sessions
    ]
    if ended:
        await _add(ctx, ended)


async def add_rewards(ctx: Context, rewards: Iterable[Announcement]) -> None:
    """Write events about rewards. Call it with the users locked."""
    if new := [_event(each.id, each.type, each.at, each.data, each.user_id) for each in rewards]:
        await _add(ctx, new)


async def add_message_blocked(ctx: Context, *, reason: str, country: str, phone: str) -> None:
    """Write the event for a message that the cost guard refused. phone: masked."""
    if ctx.endpoint is None:
        return
    data = {"reason": reason, "country": country, "phone": phone}
    await _add(ctx, [_event(ids.new(ctx.token_bytes), _BLOCKED, ctx.clock(), data)])


def _event(
    event_id: UUID, event_type: str, at: datetime, data: dict[str, Any], user_id: UUID | None = None
) -> Event:
    return Event(
        id=event_id,
        type=event_type,
        user_id=user_id,
        data=json.dumps(data, ensure_ascii=False),
        at=at,
        next_attempt_at=at,
    )


async def _add(ctx: Context, events: list[Event]) -> None:
    await outbox.add(events)
    database.after_commit(ctx.wake_dispatcher.set)
