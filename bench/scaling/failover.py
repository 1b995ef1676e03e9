"""Failover: the primary is lost under load."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx

from clusters import Cluster, cluster
from failovers import (
    DETECTION_SECONDS,
    Failover,
    crash,
    crash_with_lagging_standby,
    fail_over,
    freeze_primary,
)
from processes import serving
from scaling import tables
from support import Clock, Inbox, Service, ok

SETTINGS = {
    "REFERRAL_SENDS_PER_ADDRESS_HOUR": "1000000",
    "REFERRAL_SENDS_PER_DAY": "1000000",
    "REFERRAL_FAILURES_PER_ADDRESS_HOUR": "1000000",
}
RUNS: list[tuple[str, bool, Callable[[Cluster], Awaitable[None]]]] = [
    ("crash, asynchronous", False, crash),
    ("crash, asynchronous, standby a second behind", False, crash_with_lagging_standby),
    ("crash, synchronous", True, crash),
    ("crash, synchronous, standby a second behind", True, crash_with_lagging_standby),
    ("freezes, synchronous", True, freeze_primary),
]


async def main() -> None:
    tables.show(
        f"Failover under load, promoted {DETECTION_SECONDS:.0f} s after the loss",
        [
            "primary",
            "acknowledged",
            "lost: sign-ups, refreshes, sign-outs",
            "no success for, s",
            "of it after the promotion, s",
            "slowest response, s",
            "refusals",
        ],
        [_row(name, await _run(synchronous, lose)) for name, synchronous, lose in RUNS],
    )
    await _without_standby()


async def _run(
    synchronous: bool,  # noqa: FBT001 - unpacked from RUNS
    lose: Callable[[Cluster], Awaitable[None]],
) -> Failover:
    with TemporaryDirectory() as folder, cluster(synchronous=synchronous) as pair:
        url = pair.url(lists=True)
        with serving(Path(folder), DATABASE_URL=url, **SETTINGS) as server:
            return await fail_over(pair, server, lose)


def _row(name: str, seen: Failover) -> list[object]:
    refusals = ", ".join(
        f"{number} x {status} {code}{' + Retry-After' if retry_after else ''}"
        for (status, code, retry_after), number in seen.refusals.items()
    )
    lost = f"{seen.lost.sign_ups}, {seen.lost.refreshes}, {seen.lost.sign_outs}"
    gaps = (f"{each:.1f}" for each in (seen.gap, seen.after_promotion, seen.slowest))
    return [name, seen.acknowledged, lost, *gaps, refusals]


async def _without_standby() -> None:
    """Show how a synchronous primary responds while its only standby is stopped."""
    with (
        TemporaryDirectory() as folder,
        cluster(synchronous=True) as pair,
        serving(Path(folder), DATABASE_URL=pair.url(), **SETTINGS) as server,
    ):
        async with httpx.AsyncClient(base_url=server.url, timeout=60) as http:
            service = Service(http, Clock(), Inbox())
            person = await service.sign_in()
            pair.standby.stop()
            read = await person.call("GET", "/profile")
            write = await service.post("/auth/send-code", phone="+79990000000")
            pair.primary.configure(synchronous_standby_names="")
            again = ok(await service.post("/auth/send-code", phone="+79990000001"))
    tables.show(
        "A synchronous primary whose only standby is stopped",
        ["request", "response"],
        [
            ["a profile", read.status_code],
            ["a code", f"{write.status_code} {write.json()['code']} after {_seconds(write)}"],
            ["a code, synchronous_standby_names = ''", f"200, {again['code_length']} digits"],
        ],
    )


def _seconds(response: httpx.Response) -> str:
    return f"{response.elapsed.total_seconds():.0f} s"
