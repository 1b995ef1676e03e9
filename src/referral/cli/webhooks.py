"""Events on their way to the team's receiver."""

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
from referral.webhooks import payloads as service
from referral.webhooks.retry import TYPES

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
    help="Begin with this many that were there before.",
)
@click.option("--follow/--no-follow", default=True, help="Go on, or end after those.")
def tail(last: int, *, follow: bool) -> None:
    """Print events as they come, a line of JSON each, until Ctrl-C."""

    async def work(ctx: Context) -> None:
        _warn(ctx)
        before = await service.latest(last)
        _print(before)
        if not follow:
            return
        async for found in service.follow(event.sequence for event, _ in before):
            _print(found)
            if not found:
                await asyncio.sleep(_POLL_SECONDS)

    with suppress(KeyboardInterrupt):
        common.with_context(work)


@webhooks.command()
@click.option("--since", metavar="WHEN", help="2026-01-31, 2026-01-31T12:00, or 30m, 2h, 3d ago.")
@click.option("--type", "kind", type=click.Choice(TYPES), help="Of this type alone.")
def replay(since: str | None, kind: str | None) -> None:
    """Send events again that were acknowledged or given up, with the same ids.

    Without --since, all of the last 30 days.
    """

    async def work(ctx: Context) -> int:
        if ctx.endpoint is None:
            common.fail("REFERRAL_WEBHOOK_URL: set it first, or nobody is told")
        at = _moment(since, ctx.clock()) if since is not None else None
        return await service.replay(ctx, since=at, kind=kind)

    number = common.with_context(work)
    click.echo(f"{number} {'event goes' if number == 1 else 'events go'} out again")


@webhooks.command()
def status() -> None:
    """Say how the deliveries go."""

    async def work(ctx: Context) -> None:
        _warn(ctx)
        found, now = await service.status(ctx), ctx.clock()
        rows = {
            "waiting": str(found.waiting),
            "oldest waiting": _age(found.oldest, now),
            "next try": common.moment(found.next_attempt_at) if found.next_attempt_at else "none",
            "delivered in the last hour": str(found.acknowledged),
            "given up in 30 days": str(found.given_up),
            "receiver": _receiver(found, now),
            "last error": f"{found.error}, {common.moment(found.failed_at)}"
            if found.failed_at
            else "none",
        }
        table = Table(show_header=False)
        for name, value in rows.items():
            table.add_row(name, value)
        tables.show(table)

    common.with_context(work)


@webhooks.command()
def resume() -> None:
    """Send events again, after the receiver answered 410 and that stopped them."""

    async def work(ctx: Context) -> bool:
        _warn(ctx)
        return await service.resume()

    was_stopped = common.with_context(work)
    click.echo("what waits goes out within seconds" if was_stopped else "nothing was stopped")


def _receiver(found: service.Status, now: datetime) -> str:
    if found.failing_since is None:
        return "there"
    if found.is_stopped:
        since = common.moment(found.failing_since)
        return f"gone (410) since {since}: nothing is sent until `referral webhooks resume`"
    return f"away for {_age(found.failing_since, now)}"


def _warn(ctx: Context) -> None:
    if ctx.endpoint is None:
        click.echo("REFERRAL_WEBHOOK_URL is not set: no events are written or sent", err=True)


def _print(events: list[tuple[Event, str]]) -> None:
    for event, body in events:
        line = json.dumps({"id": str(event.id), **json.loads(body)}, ensure_ascii=False)
        click.echo(line)


def _moment(text: str, now: datetime) -> datetime:
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
