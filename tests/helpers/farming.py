"""A simulation of invitation farms beside honest growth: what is paid, and what is held.

It runs the service itself, on SQLite. `make farms` prints the table of docs/rewards.md, the same
numbers each time.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from itertools import count
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from types import MappingProxyType
from typing import Any

from support import Person, Service, migrated, ok, running

DOCUMENT = Path(__file__).parent.parent.parent / "docs/rewards.md"

MINUTE, HOUR, DAY = 60, 3600, 86_400
FARM_SIZE = 200
AMOUNT = 100
NOTHING: Mapping[str, str] = MappingProxyType({})

# By what the table calls them
RULES: dict[str, dict[str, Any]] = {
    "each activation, at once": {"trigger": "activated"},
    "each activation, after 14 days, flagged ones reviewed": {
        "trigger": "activated",
        "hold_days": 14,
        "review": "flagged",
    },
    "first purchase, at once": {"trigger": "purchase", "occurs": "first"},
    "first purchase, after 14 days, flagged ones reviewed": {
        "trigger": "purchase",
        "occurs": "first",
        "hold_days": 14,
        "review": "flagged",
    },
    "the same, at most five a month": {
        "trigger": "purchase",
        "occurs": "first",
        "hold_days": 14,
        "review": "flagged",
        "cap_per_month": 5 * AMOUNT,
    },
}


@dataclass(frozen=True, kw_only=True)
class Join:
    """A sign-up with somebody's invite code. at: seconds.

    home: the inviter's address. on_device: whether the inviter's browser is used. refunded: whether
    the purchase is reversed; None if there is no purchase.
    """

    at: float
    inviter: str
    home: str
    phone: str
    address: str
    on_device: bool = False
    refunded: bool | None = None


@dataclass(frozen=True, kw_only=True)
class Group:
    """Invitees whose rewards are a row of the table."""

    name: str
    joins: tuple[Join, ...]

    @property
    def inviters(self) -> list[str]:
        return list(dict.fromkeys(join.inviter for join in self.joins))


class World:
    """Phones and addresses that nobody else has."""

    def __init__(self) -> None:
        self.random = Random(7)  # noqa: S311 - the same numbers each time
        self._addresses = count(1)
        self._numbers = iter(self.random.sample(range(10**7), 5000))

    def address(self) -> str:
        number = next(self._addresses)
        return f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"

    def phone(self) -> str:
        return f"+7911{next(self._numbers):07}"


def groups() -> list[Group]:
    """Return everybody who joins within 60 days."""
    world = World()
    return [
        Group(name="honest: 60 inviters with 5 friends each", joins=tuple(_friends(world))),
        Group(name="honest: a blogger, 40 readers in an evening", joins=tuple(_readers(world))),
        _farm(world, "one block, one device, one a minute", MINUTE, in_block=True, at_home=True),
        _farm(world, "one block, three a day", DAY / 3, in_block=True),
        _farm(world, "any numbers, one every two minutes", 2 * MINUTE),
        _farm(world, "any numbers, four a day", DAY / 4),
    ]


def _friends(world: World) -> Iterator[Join]:
    """A fifth join at the inviter's home. Four in ten buy, of whom a tenth get a refund."""
    random = world.random
    for number in range(60):
        home = world.address()
        for _ in range(5):
            yield Join(
                at=random.uniform(0, 60 * DAY),
                inviter=f"honest {number}",
                home=home,
                phone=world.phone(),
                address=home if random.random() < 0.2 else world.address(),
                refunded=random.random() < 0.1 if random.random() < 0.4 else None,
            )


def _readers(world: World) -> Iterator[Join]:
    home = world.address()
    for _ in range(40):
        yield Join(
            at=world.random.uniform(20 * DAY, 20 * DAY + 4 * HOUR),
            inviter="blogger",
            home=home,
            phone=world.phone(),
            address=world.address(),
            refunded=False if world.random.random() < 0.4 else None,
        )


def _farm(
    world: World, name: str, every: float, *, in_block: bool = False, at_home: bool = False
) -> Group:
    """One person with 200 numbers, each of which buys something and returns it."""
    home = world.address()
    block = f"+7921{world.random.randrange(1000):03}"
    joins = tuple(
        Join(
            at=2 * DAY + number * every,
            inviter=name,
            home=home,
            phone=f"{block}{number:04}" if in_block else world.phone(),
            address=home if at_home else world.address(),
            on_device=at_home,
            refunded=True,
        )
        for number in range(FARM_SIZE)
    )
    return Group(name=f"a farm: {name}", joins=joins)


class Simulation:
    """The service, and the backend of an app, which posts an event for each purchase."""

    def __init__(self, service: Service, key: Person) -> None:
        self._service = service
        self._key = key
        self._people: dict[str, Person] = {}

    async def run(self, joins: Iterable[Join]) -> None:
        """Let everything happen in its order, and then wait until every hold is over."""
        steps: list[tuple[float, Callable[[], Awaitable[None]]]] = []
        for join in joins:
            bought = join.at + HOUR
            steps.append((join.at, partial(self._join, join)))
            if join.refunded is not None:
                steps.append((bought, partial(self._buy, join)))
            if join.refunded:
                steps.append((bought + 3 * DAY, partial(self._refund, join)))
        start = self._service.clock()
        for at, step in sorted(steps, key=lambda each: each[0]):
            self._service.clock.set(start + timedelta(seconds=at))
            await step()
        self._service.clock.move(days=31)

    async def outcome(self, inviters: Iterable[str]) -> dict[str, Counter[str]]:
        """Count the entries of these inviters, by rule and status."""
        found: dict[str, Counter[str]] = {name: Counter() for name in RULES}
        names = {f"rule-{number}": name for number, name in enumerate(RULES)}
        for inviter in inviters:
            path = f"/users/{self._people[inviter].id()}/rewards?limit=1000"
            page = ok(await self._key.call("GET", path))
            while True:
                for entry in page["items"]:
                    if entry["reverses"] is None:
                        found[names[entry["rule"]]][entry["status"]] += 1
                if page["next_cursor"] is None:
                    break
                cursor = f"{path}&cursor={page['next_cursor']}"
                page = ok(await self._key.call("GET", cursor))
        return found

    async def _join(self, join: Join) -> None:
        if join.inviter not in self._people:
            number = f"+7999{len(self._people):07}"
            self._people[join.inviter] = await self._sign_in(number, join.home)
        inviter = self._people[join.inviter]
        if join.address == join.home:
            inviter = await self._sign_in(inviter.phone, join.home)
        device = {"device_token": inviter.tokens["device_token"]} if join.on_device else {}
        code = inviter.tokens["profile"]["invite_code"]
        self._people[join.phone] = await self._sign_in(
            join.phone, join.address, device, invite_code=code
        )

    async def _sign_in(
        self, phone: str, address: str, device: Mapping[str, str] = NOTHING, **verify: str
    ) -> Person:
        http, headers = self._service.http, {"X-Forwarded-For": address}
        asked = {"phone": phone, **device}
        sent = ok(await http.post("/api/v1/auth/send-code", json=asked, headers=headers))
        body = {"token": sent["token"], "code": sent["code"], **verify}
        response = await http.post("/api/v1/auth/verify", json=body, headers=headers)
        return Person(http, phone, ok(response), is_new=True)

    async def _buy(self, join: Join) -> None:
        user_id = self._people[join.phone].id()
        body = {"event_id": f"order-{join.phone}", "type": "purchase", "user_id": user_id}
        ok(await self._key.call("POST", "/events", json=body))

    async def _refund(self, join: Join) -> None:
        path = f"/events/order-{join.phone}/reverse"
        ok(await self._key.call("POST", path, json={"reason": "refund"}))


async def outcomes() -> list[tuple[Group, dict[str, Counter[str]]]]:
    """Simulate all groups at the same time, in one service."""
    everybody = groups()
    with TemporaryDirectory() as folder:
        url = f"sqlite://{folder}/farms.sqlite3"
        await migrated(url)
        async with running(url, REFERRAL_TRUSTED_PROXIES="1") as service:
            service.http.headers["X-Forwarded-For"] = "192.0.2.1"
            key = await service.api_key()
            for number, fields in enumerate(RULES.values()):
                body = {"beneficiary": "inviter", "amount": AMOUNT, "unit": "points", **fields}
                ok(await key.call("PUT", f"/reward-rules/rule-{number}", json=body))
            simulation = Simulation(service, key)
            await simulation.run(join for group in everybody for join in group.joins)
            return [(group, await simulation.outcome(group.inviters)) for group in everybody]


async def table() -> str:
    """Return the table in Markdown, with a row for each group."""
    headings = ("Inviters", "Sign-ups", "Purchases kept", *RULES)
    rows = [f"| {' | '.join(headings)} |", f"|{'---|' * len(headings)}"]
    for group, outcome in await outcomes():
        kept = sum(join.refunded is False for join in group.joins)
        cells = [
            f"{counts['available']} paid"
            + (f", {held} held" if (held := counts["in_review"]) else "")
            for counts in outcome.values()
        ]
        rows.append(f"| {' | '.join([group.name, str(len(group.joins)), str(kept), *cells])} |")
    return "\n".join(rows)


if __name__ == "__main__":
    print(asyncio.run(table()))  # noqa: T201 - the output of `make farms`
