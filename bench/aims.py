"""What was aimed at, and what was reached."""

from __future__ import annotations

import statistics
from typing import Any

Results = dict[str, Any]
Aim = tuple[str, str, str]
"""What it is about, the aim, what was reached."""

PAGE, LONG_PAGE = "first page of 1,000,000", "page of 1,000, first"
PROFILE, VERIFY, SEND = "profile, 10 invitees", "verify, 1,000 users", "send-code"
SEALED = "twin: send-code, nothing stored"
STORING = ("twin: send-code, codes in a table", "better-auth: send-otp")

_TIMES = (
    (PROFILE, "Litestar + asyncpg, one row", "0.9"),
    (PROFILE, "twin: profile, 10 invitees", "6"),
    (SEND, "Litestar, bare", "0.2"),
    *((SEND, peer, "2.5") for peer in STORING),
    (SEND, SEALED, "none: it has no limits"),
    (VERIFY, "twin: verify", "2.5"),
    (VERIFY, "better-auth: verify", "4.5"),
    ("refresh", VERIFY, "1"),
    (PAGE, PROFILE, "0.32"),
    (LONG_PAGE, PROFILE, "0.04"),
)
_FLAT = (
    ("profile, 1,000 invitees", PROFILE, "±10 %"),
    ("profile, 1,000,000 invitees", PROFILE, "±10 %"),
    ("page 900,000 deep", PAGE, "±10 %"),
    ("verify, {users:,} users", VERIFY, "±20 %"),
    ("send-code, 1,000,000 counters", SEND, "±20 %"),
    ("verify, from one address", VERIFY, "no row that all wait for"),
)
_MOST_MEGABYTES, _MOST_SECONDS = "under 80 MB", "under 0.7 s"


def aims(results: Results) -> list[Aim]:
    rates = median_rates(results)
    flat = [(name.format(users=results["mode"]["users"]), base, aim) for name, base, aim in _FLAT]
    return [
        *(
            (f"{name} / {base}", aim, f"{rates[name] / rates[base]:.2f}")
            for name, base, aim in _TIMES
        ),
        *(
            (f"{name} against {base}", aim, f"{rates[name] / rates[base] - 1:+.0%}")
            for name, base, aim in flat
        ),
        ("verify, SQLite / PostgreSQL", "0.5", _embedded(results["embedded"]["verify"]["32"])),
        *_of_processes(results),
        *(
            (f"{name} at twice its capacity: p99 / unloaded p99", "under 5", _slowdown(found))
            for name, found in results["overload"].items()
        ),
    ]


def median_rates(results: Results) -> dict[str, float]:
    """Requests a second by case; of one that is in two groups, beside the later."""
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
        ("start to the first answer", _MOST_SECONDS, f"{seconds:.2f} s"),
        ("memory at rest, one worker", _MOST_MEGABYTES, f"{megabytes:.0f} MB"),
        ("memory at rest, each of two", _MOST_MEGABYTES, f"{workers['at rest']:.0f} MB"),
    ]


def _slowdown(found: Results) -> str:
    over, quiet = (found[kind]["accepted"]["p99"] for kind in ("overloaded", "unloaded"))
    return f"{over / quiet:.1f}" if over and quiet else "too few answers"
