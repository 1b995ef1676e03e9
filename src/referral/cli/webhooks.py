"""Watching and controlling webhooks."""

from __future__ import annotations

import asyncio
import json
import re
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import rich_click as click
from rich.table import Table

from referral.cli import common, tables
from referral.context import Context
from referral.storage.models import Event
from referral.webhooks import operations
from referral.webhooks.events import TYPES

_POLL_SECONDS = 1
_UNITS = {"m": "minutes", "h": "hours", "d": "days"}


@click.group()
def webhooks() -> None:
    """Watch the events that go to REFERRAL_WEBHOOK_URL, and send them again."""


@webhooks.command()
@click.option(
    "-n",
    "--last",
    default=10,
    show_default=True,
    type=click.IntRange(0, 1000),
    help="How many earlier events to print first.",
)
@click.option(
    "--follow/--no-follow",
    default=True,
    help="Wait for more events, or exit after the earlier ones.",
)
def tail(last: int, *, follow: bool) -> None:
    """Print events as they happen, one line of JSON each, until Ctrl-C."""

    async def work(ctx: Context) -> None:
        _warn_if_unset(ctx)
        latest = await operations.latest(last)
        _print(latest)
        if not follow:
            return
        async for found in operations.follow(event.sequence for event, _ in latest):
            _print(found)
            if not found:
                await asyncio.sleep(_POLL_SECONDS)

    with suppress(KeyboardInterrupt):
        common.run_with_context(work)


@webhooks.command()
@click.option(
    "--since",
    metavar="WHEN",
    help="Only events since 2026-01-31 or 2026-01-31T12:00 (UTC), or since 30m, 2h or 3d ago.",
)
@click.option("--type", "event_type", type=click.Choice(TYPES), help="Only events of this type.")
def replay(since: str | None, event_type: str | None) -> None:
    """Send acknowledged and given-up events again, with the same ids.

    Without --since, all of the last 30 days.
    """

    async def work(ctx: Context) -> int:
        if ctx.endpoint is None:
            common.fail("REFERRAL_WEBHOOK_URL is not set, so there is no endpoint to send to")
        at = _parse_since(since, ctx.clock()) if since is not None else None
        return await operations.replay(ctx, since=at, event_type=event_type)

    number = common.run_with_context(work)
    click.echo(f"{number} {'event' if number == 1 else 'events'} will be sent again")


@webhooks.command()
def status() -> None:
    """Show how many events wait, since when, and why deliveries fail."""

    async def work(ctx: Context) -> None:
        _warn_if_unset(ctx)
        found, now = await operations.status(ctx), ctx.clock()
        due = found.next_attempt_at
        rows = {
            "waiting": str(found.waiting),
            "oldest waiting": _age(found.oldest, now),
            "next attempt": common.format_time(due) if due else "none",
            "delivered in the last hour": str(found.acknowledged),
            "given up in 30 days": str(found.given_up),
            "endpoint": _endpoint(found, now),
            "last error": f"{found.error}, {common.format_time(found.failed_at)}"
            if found.failed_at
            else "none",
        }
        table = Table(show_header=False)
        for name, value in rows.items():
            table.add_row(name, value)
        tables.show(table)

    common.run_with_context(work)


@webhooks.command()
def resume() -> None:
    """Resume deliveries after the endpoint responded with 410, which stopped them."""

    async def work(ctx: Context) -> bool:
        _warn_if_unset(ctx)
        return await operations.resume()

    was_stopped = common.run_with_context(work)
    click.echo(
        "waiting events will be sent within seconds" if was_stopped else "nothing was stopped"
    )


def _endpoint(found: operations.DeliveryStatus, now: datetime) -> str:
    if found.failing_since is None:
        return "working"
    if found.is_stopped:
        since = common.format_time(found.failing_since)
        return f"gone (410) since {since}: nothing is sent until `referral webhooks resume`"
    return f"failing for {_age(found.failing_since, now)}"


def _warn_if_unset(ctx: Context) -> None:
    if ctx.endpoint is None:
        click.echo("REFERRAL_WEBHOOK_URL is not set: no events are written or sent", err=True)


def _print(events: list[tuple[Event, str]]) -> None:
    for event, body in events:
        line = json.dumps({"id": str(event.id), **json.loads(body)}, ensure_ascii=False)
        click.echo(line)


def _parse_since(text: str, now: datetime) -> datetime:
    if ago := re.fullmatch(r"([0-9]{1,4})([mhd])", text):
        return now - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        common.fail(f"--since {text!r}: write 2026-01-31, 2026-01-31T12:00Z, 30m, 2h or 3d")
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _age(since: datetime | None, now: datetime) -> str:
    if since is None:
        return "none"
    return str(timedelta(seconds=max(0, int((now - since).total_seconds()))))
