"""What runs beside the requests, alone."""

from __future__ import annotations

import asyncio
import signal

import rich_click as click

from referral.cli import common
from referral.context import Context
from referral.observability import log_format
from referral.service import housekeeping
from referral.webhooks import dispatcher


@click.command()
def worker() -> None:
    """Clear away what is over and deliver events, beside or instead of the web processes."""
    log_format.configure(json=common.settings().in_production)

    async def work(ctx: Context) -> None:
        ended = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, ended.set)
        async with housekeeping.running(ctx), dispatcher.running(ctx):
            click.echo("keeping house")
            await ended.wait()

    common.with_context(work)
