"""Housekeeping alone."""

from __future__ import annotations

import asyncio
import signal

import rich_click as click

from referral.app import assemble
from referral.cli import common, logs
from referral.service import housekeeping
from referral.settings import Settings


@click.command()
def worker() -> None:
    """Clear away what is over, beside or instead of the web processes, until it is asked to end."""

    async def work(settings: Settings) -> None:
        logs.configure(json=settings.in_production)
        ended = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, ended.set)
        async with housekeeping.running(await assemble(settings)):
            click.echo("keeping house")
            await ended.wait()

    common.with_database(work)
