"""Kill the worker processes of a server at random moments. It finds them in /proc."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterable
from pathlib import Path
from random import Random

from processes import Server

WORKERS = 4
REPLACED_SECONDS = 15


async def kill(server: Server, number: int, random: Random) -> None:
    """Kill that many workers, up to three at a time, also while they start."""
    while number > 0:
        victims = random.sample(sorted(workers(server)), min(number, random.choice((1, 1, 2, 3))))
        for pid in victims:
            os.kill(pid, signal.SIGKILL)
        number -= len(victims)
        await wait_replaced(server, victims)
        await asyncio.sleep(random.uniform(0.3, 1))


async def wait_replaced(server: Server, victims: Iterable[int]) -> None:
    """Wait until there are as many workers as before, none of them among the victims."""
    async with asyncio.timeout(REPLACED_SECONDS):
        while len(workers(server) - set(victims)) < WORKERS:  # noqa: ASYNC110 - other processes
            await asyncio.sleep(0.02)


def workers(server: Server) -> set[int]:
    """Return the process ids of the server's running workers."""
    found = set()
    for children in Path(f"/proc/{server.process.pid}/task").glob("*/children"):
        for pid in children.read_text().split():
            try:
                # Empty for a zombie. The supervisor has other children too
                command = Path(f"/proc/{pid}/cmdline").read_text()
            except (FileNotFoundError, ProcessLookupError):
                continue
            if "spawn_main" in command:
                found.add(int(pid))
    return found
