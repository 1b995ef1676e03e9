"""The events of the last days, as administrators look through them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, get_args

from msgspec import Struct

from referral.core.errors import InvalidRequest
from referral.storage.models import Event
from referral.webhooks.events import TYPES

State = Literal["waiting", "delivered", "given_up"]
STATES: tuple[State, ...] = get_args(State)

_CONDITIONS: Mapping[State, dict[str, Any]] = {
    "waiting": {"next_attempt_at__isnull": False},
    "delivered": {"finished_at__isnull": False, "error__isnull": True},
    "given_up": {"finished_at__isnull": False, "error__isnull": False},
}


class EventPage(Struct, frozen=True, kw_only=True):
    """A page of events, newest first. next_before: the sequence before which the next begins."""

    items: list[Event]
    next_before: int | None


def state_of(event: Event) -> State:
    if event.finished_at is None:
        return "waiting"
    return "given_up" if event.error else "delivered"


def tries(event: Event) -> int:
    """Return how often delivery was attempted since the event happened or was sent again."""
    return event.attempts + (state_of(event) == "delivered")


async def page(
    *, event_type: str | None, state: str | None, before: int | None, limit: int
) -> EventPage:
    """Return a page of the events of a type and state, or of all. Raises InvalidRequest."""
    if event_type is not None and event_type not in TYPES:
        raise InvalidRequest.field("type", "Give a type of webhook events.")
    if state is not None and state not in STATES:
        raise InvalidRequest.field("state", "Give waiting, delivered or given_up.")
    rows = Event.filter(
        **(_CONDITIONS[state] if state else {}),
        **({"type": event_type} if event_type else {}),
        **({"sequence__lt": before} if before is not None else {}),
    )
    # One row more tells whether there is another page
    found = await rows.order_by("-sequence").limit(limit + 1)
    items = found[:limit]
    return EventPage(items=items, next_before=items[-1].sequence if len(found) > limit else None)
