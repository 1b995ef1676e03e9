"""Events: the app's backend posts them when users do something, and reverses them."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from msgspec import Struct, structs

from referral import observability
from referral.context import Actor, Context
from referral.core import phone as phones
from referral.core import times
from referral.core.errors import EventConflict, InvalidRequest, NotFound
from referral.rewards import (
    activation_queries,
    earning,
    entries,
    entry_queries,
    event_queries,
    request_digest,
    rule_queries,
    rules,
)
from referral.rewards.entries import EntryView
from referral.rewards.event_queries import NewEvent
from referral.rewards.ledger import Link
from referral.rewards.rules import CLOCK_SKEW
from referral.storage import database
from referral.storage import users as user_queries
from referral.storage.models import RewardEntry, RewardEvent

MAX_REASON_LENGTH = 200
_REVERSED = "reversed"


class PostedEvent(Struct, frozen=True, kw_only=True):
    """An event as it was sent. content: the parsed body, which recognises a repeat."""

    event_id: str
    type: str
    user_id: str | None
    phone: str | None
    occurred_at: str | None
    value: int | None
    content: Any


class EventResult(Struct, frozen=True, kw_only=True):
    """An event, and the entries of the ledger that it made."""

    event_id: str
    rewards: list[EntryView]


async def post(ctx: Context, posted: PostedEvent, *, by: Actor) -> tuple[EventResult, bool]:
    """Store an event and make the entries that it earns. Return whether it is new.

    The same event again returns the same entries. Raises InvalidRequest, InvalidPhone, NotFound
    for an unknown user, and EventConflict for other content under the same id.
    """
    event_id = rules.parse_id(posted.event_id, field="event_id")
    event_type = rules.parse_event_type(posted.type)
    now = ctx.clock()
    known = await event_queries.find(event_id)
    if known is None:
        event = await _parse(ctx, posted, event_id, event_type, now=now)
        made = await database.transaction(lambda: _store(ctx, event, posted.value, now=now))
        if made is not None:
            observability.record(
                "event_posted",
                by=by.name,
                address=by.address,
                user=event.user_id,
                event_id=event_id,
                rewards=len(made),
            )
            return EventResult(event_id=event_id, rewards=await entries.views(made, now=now)), True
        known = await event_queries.find(event_id)
    if known is None:
        raise database.Conflict
    return await _repeat(ctx, known, posted), False


async def reverse(ctx: Context, event_id: str, *, reason: str | None, by: Actor) -> EventResult:
    """Reverse an event, and take back the entries that are not earned without it.

    Return the entries that this made; a repeated reversal returns the same.

    Raises NotFound, and InvalidRequest for a reason that is too long.
    """
    reason = _parse_reason(reason)
    now = ctx.clock()
    event = await event_queries.find(event_id) if rules.is_id(event_id) else None
    if event is None or event.digest is None:
        raise NotFound(
            "There is no event with this id: it earned nothing. Check the id.",
            reason="no such event",
        )

    async def work() -> bool:
        if event.activation_id is None:  # it was counted for no rule
            return await event_queries.reverse(event_id, reason=reason, now=now)
        activation = await activation_queries.get(event.activation_id)
        link = await earning.lock_link(activation)
        # Its flags may have changed until the inviter was locked
        await activation.refresh_from_db()
        if not await event_queries.reverse(event_id, reason=reason, now=now):
            return False
        await earning.reverse_event(ctx, event_id, link, reason=reason, now=now)
        return True

    if await database.transaction(work):
        observability.record(
            "event_reversed", by=by.name, address=by.address, user=event.user_id, event_id=event_id
        )
    made = await entry_queries.made_by(f"reverse/{event_id}")
    return EventResult(event_id=event_id, rewards=await entries.views(made, now=now))


async def _parse(
    ctx: Context, posted: PostedEvent, event_id: str, event_type: str, *, now: datetime
) -> NewEvent:
    """Parse the content of an event that is not known. Raises what `post` does."""
    occurred_at = now
    if posted.occurred_at is not None:
        at = times.parse(posted.occurred_at, field="occurred_at")
        occurred_at = rules.require_recent(at, now=now)
    if posted.value is not None:
        rules.require_range(posted.value, 0, rules.MAX_VALUE, field="value")
    return NewEvent(
        id=event_id,
        digest=request_digest.compute(ctx, posted.content),
        type=event_type,
        user_id=await _find_user(ctx, posted),
        activation_id=None,
        occurred_at=occurred_at,
    )


async def _store(
    ctx: Context, event: NewEvent, value: int | None, *, now: datetime
) -> list[RewardEntry] | None:
    """Add an event and count it. Return the entries that it earns, or None if it is known."""
    invitee = await activation_queries.lock(event.user_id)
    if invitee is None or invitee.is_deleted:
        raise _no_such_user()
    inviter = None
    if invitee.inviter_id is not None:
        inviter = await activation_queries.lock(invitee.inviter_id)
    # Read with the inviter locked, because another invitee's activation may flag this one meanwhile
    activation = await activation_queries.present(invitee)
    counted = []
    if (
        activation is not None
        and not activation.is_repeat
        and activation.made_at <= event.occurred_at + CLOCK_SKEW
    ):
        counted = [
            rule
            for rule in await rule_queries.triggered_by(event.type)
            if rule.counts(occurred_at=event.occurred_at, value=value)
        ]
    if activation is None or inviter is None or not counted:
        return [] if await event_queries.add(event, now=now) else None
    event = structs.replace(event, activation_id=activation.id)
    if not await event_queries.add(event, now=now):
        return None
    link = Link(activation=activation, invitee=invitee, inviter=inviter)
    return await earning.count(ctx, event, counted, link=link, now=now)


async def _repeat(ctx: Context, known: RewardEvent, posted: PostedEvent) -> EventResult:
    """Return the entries that the first of several equal events made. Raises EventConflict."""
    if not request_digest.matches(ctx, known.digest, posted.content):
        raise EventConflict
    made = await entry_queries.made_by(f"post/{known.id}")
    # The time now, because the first may have been stored since this request began
    views = await entries.views(made, now=ctx.clock())
    return EventResult(event_id=known.id, rewards=views)


async def _find_user(ctx: Context, posted: PostedEvent) -> UUID:
    if (posted.user_id is None) == (posted.phone is None):
        raise InvalidRequest.field("user_id", "Give either `user_id` or `phone`.")
    if posted.user_id is not None:
        try:
            return UUID(posted.user_id)
        except ValueError:
            raise _no_such_user() from None
    phone = phones.parse(posted.phone or "", ctx.phone_rules.unrestricted)
    user = await user_queries.find_by_phone(phone)
    if user is None:
        raise _no_such_user()
    return user.id


def _parse_reason(reason: str | None) -> str:
    if reason is None:
        return _REVERSED
    text = reason.strip() if len(reason) <= MAX_REASON_LENGTH else ""
    if not text or not text.isprintable():
        raise InvalidRequest.field(
            "reason", f"Give a line of 1 to {MAX_REASON_LENGTH} characters, or leave it out."
        )
    return text


def _no_such_user() -> NotFound:
    return NotFound(
        "There is no user with this id or phone. Check it, then send the event again.",
        reason="no such user",
    )
