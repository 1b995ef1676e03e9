"""The two cores, what runs on which, and what it uses."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path

import psutil  # type: ignore[import-untyped]  # it ships no types

SERVER_CORE, OTHER_CORE = 0, 1


def keep_off_the_server() -> None:
    """Move this process, and what it starts from now on, away from the server's core."""
    os.sched_setaffinity(0, {OTHER_CORE})


def move(pid: int, cores: Iterable[int]) -> None:
    """Move a process and its children."""
    for process in family(pid):
        with suppress(psutil.NoSuchProcess):
            process.cpu_affinity(list(cores))


def family(pid: int) -> list[psutil.Process]:
    """Return a process and everything it started."""
    process = psutil.Process(pid)
    return [process, *process.children(recursive=True)]


def cpu_seconds(pid: int) -> float:
    """Return what a process and its children have used so far, ended children included."""
    seconds = 0.0
    for process in family(pid):
        # One that ends meanwhile is counted with its parent
        with suppress(psutil.NoSuchProcess):
            seconds += sum(process.cpu_times()[:4])
    return seconds


def busy_seconds() -> float:
    """Return for how long all cores together have been busy so far, with anything."""
    times = psutil.cpu_times()
    seconds: float = times.user + times.nice + times.system + times.irq + times.softirq
    return seconds


def megabytes(pid: int) -> float:
    """Return the resident memory of a process without its children."""
    resident: int = psutil.Process(pid).memory_info().rss
    return resident / 1e6


def describe() -> dict[str, str]:
    """Return the machine and the versions that the figures depend on."""
    packages = ("litestar", "uvicorn", "uvloop", "asyncpg", "tortoise-orm")
    return {
        "processor": _processor(),
        "cores": str(os.cpu_count()),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        **{package: version(package) for package in packages},
    }


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
