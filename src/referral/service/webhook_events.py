"""Webhook events, as administrators read and send them again."""

from __future__ import annotations

from referral import audit
from referral.context import Actor, Context
from referral.core.errors import NotFound
from referral.storage import database
from referral.storage.models import Event
from referral.webhooks import outbox, payloads

_MAX_SEQUENCE = 2**63 - 1


async def get(sequence: int) -> tuple[Event, str]:
    """Return an event and its body as it would be sent now. Raises NotFound."""
    event = await _find(sequence)
    return event, (await payloads.bodies([event]))[sequence]


async def send_again(ctx: Context, sequence: int, *, by: Actor) -> bool:
    """Send a finished event again, with the same id; return False if it waits already.

    It is delivered before the later events of its user that wait, as at first. Raises NotFound,
    also if no endpoint is set: it would wait for one, and be sent to it much later.
    """
    if ctx.endpoint is None:
        raise NotFound(reason="no endpoint")
    event = await _find(sequence)

    async def work() -> bool:
        if not await outbox.replay_one(sequence, now=ctx.clock()):
            return False
        await audit.record(
            ctx, "webhook_event_resent", by=by, user=event.user_id, webhook_id=str(event.id)
        )
        database.after_commit(ctx.wake_dispatcher.set)
        return True

    return await database.transaction(work)


async def _find(sequence: int) -> Event:
    """Return an event. Raises NotFound."""
    event = await outbox.get(sequence) if 0 < sequence <= _MAX_SEQUENCE else None
    if event is None:
        raise NotFound(reason="no such event")
    return event
