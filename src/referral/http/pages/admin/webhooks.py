"""Webhooks: the state of the deliveries, and the events, one of which can be sent again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from urllib.parse import urlencode

from litestar import Response, get, post
from litestar.params import FromPath
from litestar.response import Redirect

from referral.core.errors import InvalidRequest
from referral.http.pages import flash, forms, render
from referral.http.pages.texts import N_
from referral.http.requests import AdminRequest, context
from referral.service import users, webhook_events
from referral.webhooks import event_lists, operations
from referral.webhooks.event_lists import State
from referral.webhooks.events import TYPES

PATH = "/admin/webhooks"

_PAGE_SIZE = 30
_STATES: Mapping[State, str] = {
    "waiting": N_("waiting"),
    "delivered": N_("delivered"),
    "given_up": N_("given up"),
}


@get("/webhooks", include_in_schema=False)
async def show(request: AdminRequest) -> Response[str]:
    """Show the state of the deliveries and a page of events. Raises InvalidRequest.

    The query chooses the events: `type`, `state`, and `before`, the sequence of an event.
    """
    ctx = context(request)
    given = {name: request.query_params.get(name, "") for name in ("type", "state", "before")}
    before = given.pop("before")
    found = await event_lists.page(
        event_type=given["type"] or None,
        state=given["state"] or None,
        before=_sequence(before) if before else None,
        limit=_PAGE_SIZE,
    )
    return render.page(
        request,
        "admin/webhooks.html",
        deliveries=await operations.status(ctx),
        is_set=ctx.endpoint is not None,
        events=[(each, event_lists.state_of(each)) for each in found.items],
        tries=event_lists.tries,
        next_before=found.next_before,
        is_first=not before,
        chosen=given,
        query=urlencode({name: text for name, text in given.items() if text}),
        types=TYPES,
        states=_STATES,
        phones=await users.phones_of(each.user_id for each in found.items),
    )


@get("/webhooks/{sequence:int}", include_in_schema=False)
async def show_event(request: AdminRequest, sequence: FromPath[int]) -> Response[str]:
    """Show one event with its payload. Raises NotFound."""
    event, body = await webhook_events.get(sequence)
    return render.page(
        request,
        "admin/webhook.html",
        event=event,
        state=event_lists.state_of(event),
        tries=event_lists.tries,
        states=_STATES,
        payload=json.dumps(json.loads(body), ensure_ascii=False, indent=2),
        is_set=context(request).endpoint is not None,
        phones=await users.phones_of([event.user_id]),
    )


@post(
    "/webhooks/{sequence:int}/send",
    opt=forms.on(f"{PATH}/{{sequence}}", "event"),
    include_in_schema=False,
)
async def send_again(request: AdminRequest, sequence: FromPath[int]) -> Redirect:
    """Send an event again. Raises NotFound."""
    done = await webhook_events.send_again(context(request), sequence, by=request.user)
    return flash.notice(request, f"{PATH}/{sequence}", "event_resent" if done else "event_waits")


HANDLERS = [show, show_event, send_again]


def _sequence(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 19):  # noqa: PLR2004 - a bigint has 19 digits
        raise InvalidRequest.field("before", "Use the link to the next page.")
    return int(text)
