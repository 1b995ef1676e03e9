"""Load by wrk from the other core, and the CPU and memory that it took the server."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import shutil
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

import machine
import processes
from servers import Server

CONNECTIONS = 32
THREADS = 1
_SCRIPT = Path(__file__).parent / "requests.lua"
# Where `make wrk` unpacks wrk
_UNPACKED = processes.ROOT / ".cache" / "wrk" / "usr"
_SAMPLE_SECONDS = 0.2


@dataclass(frozen=True)
class Run:
    """The figures of one run. rate: requests a second. p50, p99: milliseconds.

    refused: responses other than 2xx. broken: connections. ran_out: whether the requests ended
    before the time did. server_cpu, postgres_cpu: CPU seconds for 1,000 requests. load_cores,
    other_cores: cores used by the load generator and by unrelated programs. megabytes: of the
    largest worker.
    """

    rate: float
    p50: float
    p99: float
    refused: int
    broken: int
    ran_out: bool
    server_cpu: float
    postgres_cpu: float
    load_cores: float
    other_cores: float
    megabytes: float


async def run(
    server: Server,
    requests: Sequence[bytes],
    *,
    once: bool,
    seconds: int,
    postgres_pid: int,
    connections: int = CONNECTIONS,
    cores: Sequence[int] = (machine.OTHER_CORE,),
) -> Run:
    """Send these requests for some seconds, each once or repeatedly."""
    with NamedTemporaryFile(prefix="requests-") as file:
        # requests.lua needs a spare request first
        file.write(b"".join(each + b"\0" for each in (requests[0], *requests)))
        file.flush()
        command = [
            *("taskset", "--cpu-list", ",".join(map(str, cores)), *_wrk()),
            *("--threads", THREADS, "--connections", connections, "--duration", f"{seconds}s"),
            *("--timeout", "10s", "--script", _SCRIPT, f"http://127.0.0.1:{server.port}", "--"),
            *(file.name, "once" if once else "again", THREADS),
        ]
        began, before = time.monotonic(), _cpu_seconds(server, postgres_pid)
        workers = server.workers()
        process = await asyncio.create_subprocess_exec(
            *map(str, command), stdout=asyncio.subprocess.PIPE, env=_environment()
        )
        output, megabytes = await asyncio.gather(
            process.communicate(), _watch_memory(process, workers)
        )
        after, elapsed = _cpu_seconds(server, postgres_pid), time.monotonic() - began
    if process.returncode:
        raise RuntimeError(f"wrk failed: {output[0].decode()}")
    found: dict[str, Any] = json.loads(output[0].decode().splitlines()[-1])
    number, length = max(found["requests"], 1), found["seconds"]
    busy, server_cpu, postgres_cpu, load = (b - a for a, b in zip(before, after, strict=True))
    return Run(
        rate=found["requests"] / length,
        p50=found["p50"],
        p99=found["p99"],
        refused=found["refused"],
        broken=found["broken"],
        ran_out=bool(found["ran_out"]),
        server_cpu=server_cpu / number * 1000,
        postgres_cpu=postgres_cpu / number * 1000,
        load_cores=load / length,
        other_cores=max(busy - server_cpu - postgres_cpu - load, 0) / elapsed,
        megabytes=megabytes,
    )


def median(runs: Sequence[Run], field: str) -> float:
    value: float = statistics.median(getattr(each, field) for each in runs)
    return value


def _cpu_seconds(server: Server, postgres_pid: int) -> tuple[float, float, float, float]:
    """Return CPU seconds so far of everything, the server, PostgreSQL and ended load generators."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (
        machine.busy_seconds(),
        machine.cpu_seconds(server.pid),
        machine.cpu_seconds(postgres_pid),
        children.ru_utime + children.ru_stime,
    )


async def _watch_memory(process: asyncio.subprocess.Process, workers: Sequence[int]) -> float:
    """Return the most memory, in megabytes, that one worker has until the process ends."""
    maximum = 0.0
    while process.returncode is None:
        maximum = max(maximum, *(machine.megabytes(worker) for worker in workers))
        await asyncio.sleep(_SAMPLE_SECONDS)
    return maximum


def _wrk() -> list[str]:
    return [shutil.which("wrk") or str(_UNPACKED / "bin" / "wrk")]


def _environment() -> dict[str, str]:
    folders = [str(folder) for folder in (_UNPACKED / "lib").glob("*-linux-gnu")]
    return {**os.environ, "LD_LIBRARY_PATH": ":".join(folders)}
