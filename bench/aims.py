"""The aims, and what was reached."""

from __future__ import annotations

import statistics
from typing import Any

Results = dict[str, Any]
Aim = tuple[str, str, str]
"""A figure's name, the aim, and what was reached."""

PAGE = "first page of 1,000,000"
PROFILE, VERIFY, SEND = "profile, 10 invitees", "verify, 1,000 users", "send-code"
SEALED = "twin: send-code, nothing stored"
STORING, BETTER_AUTH = "twin: send-code, codes in a table", "better-auth: send-otp"

_TIMES = (
    (PROFILE, "Litestar + asyncpg, one row", "0.9"),
    (PROFILE, "twin: profile, 10 invitees", "6"),
    (SEND, "Litestar, bare", "0.2"),
    (SEND, STORING, "2.5"),
    (SEND, BETTER_AUTH, "1.5"),
    (SEND, SEALED, "none: it has no limits"),
    (VERIFY, "twin: verify", "4"),
    (VERIFY, "better-auth: verify", "2.8"),
    ("refresh", VERIFY, "1"),
    ("authorization code to tokens", "better-auth: authorization code to tokens", "1.5"),
)
_FLAT = (
    ("profile, 1,000 invitees", PROFILE, "±10 %"),
    ("profile, 1,000,000 invitees", PROFILE, "±10 %"),
    ("page 900,000 deep", PAGE, "±10 %"),
    ("verify, {users:,} users", VERIFY, "±20 %"),
    ("send-code, 1,000,000 counters", SEND, "±20 %"),
    ("verify, from one address", VERIFY, "no row that all requests lock"),
    *(
        (f"{what}, inviter of 1,000,000", f"{what}, inviter of 10", "no more than -33 %")
        for what in ("event", "redemption", "own rewards", "activation")
    ),
)
_RATES = ((PAGE, 2500), ("page of 100 users", 2500), ("page of 1,000, first", 350))
_MEMORY_AIM, _START_AIM = "under 80 MB", "under 0.7 s"


def with_buffers(case: str, megabytes: int) -> str:
    """Name a case that is measured with larger shared buffers."""
    return f"{case}, {megabytes:,} MB of shared buffers"


def aims(results: Results) -> list[Aim]:
    rates = median_rates(results)
    many, buffers = f"verify, {results['mode']['users']:,} users", results["buffers"]
    flat = [(name.format(users=results["mode"]["users"]), base, aim) for name, base, aim in _FLAT]
    return [
        *(
            (f"{name} / {base}", aim, f"{rates[name] / rates[base]:.2f}")
            for name, base, aim in _TIMES
        ),
        *((f"{name}, a second", f"{aim:,}", f"{rates[name]:,.0f}") for name, aim in _RATES),
        *(
            (f"{name} against {base}", aim, f"{rates[name] / rates[base] - 1:+.0%}")
            for name, base, aim in flat
        ),
        (
            f"{many} against 1,000, with {buffers:,} MB of shared buffers instead of 128",
            "±20 %",
            _many_against_few(results, many),
        ),
        (
            "verify over 32 connections, SQLite / PostgreSQL",
            "0.5",
            _embedded(results["embedded"]["verify"]["32"]),
        ),
        *_of_processes(results),
        *(
            aim
            for name, found in results["overload"].items()
            for aim in (
                (f"{name} at twice its capacity: accepted / capacity", "0.8", _served(found)),
                (f"{name} at twice its capacity: p99 / unloaded p99", "under 5", _slowdown(found)),
            )
        ),
    ]


def median_rates(results: Results) -> dict[str, float]:
    """Return requests a second by case. For a case in two groups, the later group counts."""
    return {
        name: statistics.median(run["rate"] for run in runs)
        for group in results["cases"].values()
        for name, runs in group.items()
    }


def _embedded(found: Results) -> str:
    sqlite, postgres = (
        statistics.median(run["rate"] for run in found[name]) for name in ("SQLite", "PostgreSQL")
    )
    return f"{sqlite / postgres:.2f}"


def _of_processes(results: Results) -> list[Aim]:
    starting, workers = results["starting"], results["workers"]
    seconds, megabytes = (statistics.median(starting[what]) for what in ("seconds", "megabytes"))
    return [
        *(
            (f"{name}, two workers / one", "1.8", f"{workers[name]['scaling']:.2f}")
            for name in ("profile", "verify")
        ),
        ("start to the first response", _START_AIM, f"{seconds:.2f} s"),
        ("memory at rest, one worker", _MEMORY_AIM, f"{megabytes:.0f} MB"),
        ("memory at rest, each of two", _MEMORY_AIM, f"{workers['at rest']:.0f} MB"),
    ]


def _many_against_few(results: Results, many: str) -> str:
    rates = [
        statistics.median(run["rate"] for run in results["cases"]["buffered"][name])
        for name in (with_buffers(case, results["buffers"]) for case in (many, VERIFY))
    ]
    return f"{rates[0] / rates[1] - 1:+.0%}"


def _served(found: Results) -> str:
    over = found["overloaded"]
    return f"{over['accepted']['number'] / over['seconds'] / found['capacity']:.2f}"


def _slowdown(found: Results) -> str:
    over, quiet = (found[kind]["accepted"]["p99"] for kind in ("overloaded", "unloaded"))
    return f"{over / quiet:.1f}" if over and quiet else "too few responses"
