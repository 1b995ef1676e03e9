"""Running the background work without serving."""

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
    """Purge expired data and deliver webhooks, without serving.

    Web processes do this too. A lease lets only one process at a time do each task.
    """
    log_format.configure(as_json=common.load_settings().in_production)

    async def work(ctx: Context) -> None:
        stopping = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stopping.set)
        async with housekeeping.running(ctx), dispatcher.running(ctx):
            click.echo("the worker is running")
            await stopping.wait()

    common.run_with_context(work)
