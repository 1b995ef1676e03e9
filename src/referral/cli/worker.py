"""What runs beside the requests, alone."""

from __future__ import annotations

import asyncio
import signal

import rich_click as click

from referral import logs
from referral.cli import common
from referral.service import deliveries, housekeeping
from referral.service.parts import Parts


@click.command()
def worker() -> None:
    """Clear away what is over and deliver events, beside or instead of the web processes."""
    logs.configure(json=common.settings().in_production)

    async def work(parts: Parts) -> None:
        ended = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, ended.set)
        async with housekeeping.running(parts), deliveries.running(parts):
            click.echo("keeping house")
            await ended.wait()

    common.with_parts(work)
