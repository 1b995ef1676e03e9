"""Measure events, redemptions and activations; by itself: `make bench-rewards`.

An inviter with ten invitees is compared with one who has a million.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence
from dataclasses import asdict
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any

import load
import machine
import material
import postgres
import report
import reward_rows
import rows
import servers
from cases import Case, Cases, Requests, alternate, always
from referral.assembly import system_clock
from referral.core import api_key

OF_TEN = 1
ROUNDS, SECONDS = 3, 2
_numbers = count()
_newcomers = count(rows.LEAST_OF_MANY)


async def measure(bench: Any) -> Cases:
    """Compare both inviters; measure the rates of events and redemptions of many."""
    url: str = bench.many_url
    headers = {"authorization": f"Bearer {await _add_key(url)}"}

    def events(users: Sequence[int]) -> Requests:
        async def make(number: int) -> list[bytes]:
            return [
                material.post(
                    f"{material.API}/events",
                    {
                        "event_id": f"bench-{next(_numbers)}",
                        "type": reward_rows.PURCHASE,
                        "user_id": str(rows.user_id(users[each % len(users)])),
                    },
                    **headers,
                )
                for each in range(number)
            ]

        return make

    def redemptions(users: Sequence[int]) -> Requests:
        async def make(number: int) -> list[bytes]:
            return [
                material.post(
                    f"{material.API}/users/{rows.user_id(users[each % len(users)])}/redemptions",
                    {"redemption_id": f"bench-{next(_numbers)}", "unit": "points", "amount": 1},
                    **headers,
                )
                for each in range(number)
            ]

        return make

    def activations(inviter: int) -> Requests:
        async def make(number: int) -> list[bytes]:
            users = [next(_newcomers) for _ in range(min(number, _MOST_ACTIVATIONS))]
            return await material.activations(url, users, invite_code=f"{inviter:06X}")

        return make

    inviters = range(1, rows.PROFILES + 1)
    everybody = [each for user in inviters for each in reward_rows.invitees_of(user)]
    cases = [
        Case("event, three rules, 1,000 inviters", bench.many, events(everybody), once=True),
        Case("redemption, 1,000 users", bench.many, redemptions(inviters), once=True),
    ]
    for name, user in (("10", OF_TEN), ("1,000,000", rows.OF_A_MILLION)):
        own = always(await material.reads(url, "/profile/rewards", [user]))
        cases += [
            Case(
                f"event, inviter of {name}",
                bench.many,
                events(reward_rows.invitees_of(user)),
                once=True,
            ),
            Case(f"redemption, inviter of {name}", bench.many, redemptions([user]), once=True),
            Case(f"own rewards, inviter of {name}", bench.many, own),
            Case(f"activation, inviter of {name}", bench.many, activations(user), once=True),
        ]
    return await alternate(bench, cases, title="rewards")


_MOST_ACTIVATIONS = reward_rows.NEWCOMERS // (2 * (ROUNDS + 2))


async def _add_key(url: str) -> str:
    key = api_key.new(secrets.token_bytes)
    record = ("rewards", api_key.digest(key), system_clock())
    await postgres.copy(url, "api_keys", ["name", "digest", "created_at"], [record])
    return key


async def main() -> None:
    machine.keep_off_the_server()
    with TemporaryDirectory(prefix="referral-bench-") as name:
        folder = Path(name)
        async with postgres.running(folder / "postgres") as place:
            await postgres.execute(place.url, "CREATE DATABASE many")
            url = place.url_of("many")
            servers.migrate(folder, url)
            await rows.fill_many(url, rows.LEAST_OF_MANY + reward_rows.NEWCOMERS)
            await reward_rows.fill(url)
            with servers.service(folder, url, name="many") as server:
                bench = SimpleNamespace(
                    folder=folder,
                    postgres=place,
                    many=server,
                    many_url=url,
                    rounds=ROUNDS,
                    seconds=SECONDS,
                    progress=lambda _: None,
                )
                found = await measure(bench)
    runs = {case: [asdict(run) for run in runs] for case, runs in found.items()}
    print(report.cases({"cases": {"rewards": runs}}))
    for what in ("event", "redemption", "own rewards", "activation"):
        ten, million = (
            load.median(found[f"{what}, inviter of {name}"], "postgres_cpu")
            for name in ("10", "1,000,000")
        )
        print(f"{what}: {million / ten:.2f} times the CPU of PostgreSQL")


if __name__ == "__main__":
    asyncio.run(main())
