"""A simulation of pumping beside honest traffic: what it costs, and whom the cost guard refuses.

It judges by the rules of limits/pumping/rules.py. `make cost-guard` prints the table of
docs/cost-guard.md, the same numbers each time.
"""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from math import pi, sin
from pathlib import Path
from random import Random

from referral.limits import send_policy
from referral.limits.gcra import SECOND
from referral.limits.policy import LimitName
from referral.limits.pumping import rules
from referral.limits.pumping.rules import LEARNED_DAYS, Counts, Normal
from referral.limits.scope import LimitScope

DOCUMENT = Path(__file__).parent.parent.parent / "docs/cost-guard.md"

HOUR, DAY = 3600, 86_400
START = 500_000 * HOUR
# The other limits on sends: for an address in an hour, for strangers and for all in a day
ADDRESS_HOUR, STRANGERS_DAY, ALL_DAY = 30, 8000, 10_000
# Sign-ins that are begun in a day, and the share of messages that a sign-in follows
HONEST = {
    "RU": (1200, 0.78),
    "KZ": (300, 0.72),
    "DE": (150, 0.85),
    "UZ": (40, 0.70),
    "GE": (8, 0.75),
}
DAYS = 2
TRIES = 3
SHARED_ADDRESSES = 20
RANGES = 2000

# A range of numbers, and the networks of an address with how many times the allowance they have
Origin = tuple[str, tuple[tuple[str, int], ...]]

ELSEWHERE = tuple(f"{letter}{other}" for letter in "QX" for other in "ABCDEFGHIJKLMNOPQRST")


@dataclass(frozen=True, kw_only=True)
class Attack:
    """Messages that are asked for at a steady pace, for 24 hours from noon of the first day."""

    name: str
    countries: tuple[str, ...]
    addresses: int
    every: float = 5
    """Seconds between two messages."""
    ranges: int = 3
    """Ranges of 10,000 numbers: of the operator that shares its fees, or of the whole country."""
    completed: float = 0
    """The share of messages with which the attacker signs in, each on another phone."""
    hours: float = 24
    in_48: bool = False
    """Whether its addresses are the /64 networks of one IPv6 /48."""
    own_phones: int = 0
    """How many phones with a known device the attacker has."""

    @property
    def messages(self) -> int:
        return int(self.hours * HOUR / self.every) if self.countries else 0


HEADINGS = (
    "Attack",
    "Messages asked for",
    "Sent without the guard",
    "Sent before the first refusal",
    "Sent in all",
    "Honest sign-ins refused where attacked",
    "Elsewhere",
    "Last refusal after the attack",
)

ATTACKS = [
    Attack(name="none", countries=(), addresses=1),
    Attack(name="one address", countries=("QA",), addresses=1),
    Attack(name="2,000 addresses, a new country", countries=("QA",), addresses=2000),
    Attack(name="the same, any of its numbers", countries=("QA",), addresses=2000, ranges=RANGES),
    Attack(
        name="the same, a fifth completed",
        countries=("QA",),
        addresses=2000,
        ranges=RANGES,
        completed=0.2,
    ),
    Attack(name="2,000 addresses, the largest country", countries=("RU",), addresses=2000),
    Attack(name="the same, any of its numbers", countries=("RU",), addresses=2000, ranges=RANGES),
    Attack(
        name="the same, a fifth completed",
        countries=("RU",),
        addresses=2000,
        ranges=RANGES,
        completed=0.2,
    ),
    Attack(name="the same, for an hour", countries=("RU",), addresses=2000, ranges=RANGES, hours=1),
    Attack(name="2,000 addresses, a small country", countries=("UZ",), addresses=2000),
    Attack(name="the same, any of its numbers", countries=("UZ",), addresses=2000, ranges=RANGES),
    Attack(name="the same, 20 addresses", countries=("UZ",), addresses=20, ranges=RANGES),
    Attack(
        name="slow, 10 an hour: a small country",
        countries=("UZ",),
        addresses=2000,
        ranges=RANGES,
        every=360,
    ),
    Attack(
        name="slow, 10 an hour: the largest",
        countries=("RU",),
        addresses=2000,
        ranges=RANGES,
        every=360,
    ),
    Attack(name="40 new countries", countries=ELSEWHERE, addresses=2000),
    Attack(
        name="a /48 of IPv6, a new country",
        countries=("QA",),
        addresses=65_536,
        ranges=RANGES,
        in_48=True,
    ),
    Attack(
        name="1,000 phones that signed in once, a new country",
        countries=("QA",),
        addresses=2000,
        own_phones=1000,
    ),
    Attack(
        name="45 countries, any numbers",
        countries=(*HONEST, *ELSEWHERE),
        addresses=2000,
        ranges=RANGES,
    ),
]


@dataclass
class Outcome:
    """The result of an attack. refused, begun: honest sign-ins, by country."""

    asked: int = 0
    unguarded: int = 0
    before_refusal: int = 0
    sent: int = 0
    begun: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    last_refused: float = 0


class World:
    """The traffic that the cost guard knows."""

    def __init__(self, normal: dict[str, Normal]) -> None:
        self._normal = normal
        self._countries: dict[str, dict[int, Counts]] = defaultdict(dict)
        self._parts: dict[str, dict[int, Counts]] = defaultdict(dict)
        self._worldwide, self._looked = False, 0.0

    def send(self, country: str, origin: Origin, at: float) -> bool:
        """Return whether the cost guard lets a message pass, and count it."""
        now = at / HOUR
        if at - self._looked >= 60:
            self._looked = at
            self._worldwide = rules.is_worldwide(
                ((hours, self._normal_in(each)) for each, hours in self._countries.items()), now
            )
        block = rules.judge(
            rules.country(country, self._countries[country], self._normal_in(country)),
            [
                rules.part(LimitName.COST_GUARD_RANGE, origin[0], self._parts[origin[0]]),
                *(
                    rules.part(LimitName.COST_GUARD_ADDRESS, network, self._parts[network], times)
                    for network, times in origin[1]
                ),
            ],
            worldwide=self._worldwide,
            now=now,
        )
        if block is None:
            self._add(country, origin, int(now), sends=1)
        return block is None

    def sign_in(self, country: str, origin: Origin, at: float) -> None:
        self._add(country, origin, int(at / HOUR), sign_ins=1)

    def _add(
        self, country: str, origin: Origin, hour: int, *, sends: int = 0, sign_ins: int = 0
    ) -> None:
        segments = (origin[0], *(network for network, _ in origin[1]))
        for hours in (self._countries[country], *(self._parts[segment] for segment in segments)):
            hours[hour] = hours.get(hour, Counts()).plus(sends, sign_ins)

    def _normal_in(self, country: str) -> Normal:
        return self._normal.get(country) or Normal()


def simulate(attack: Attack, *, seed: int = 1) -> Outcome:
    """Simulate an attack within two days of honest sign-ins, after 14 days to learn from."""
    return _Simulation(attack, Random(seed)).run()  # noqa: S311 - reproducible


class _Simulation:
    def __init__(self, attack: Attack, random: Random) -> None:
        self._attack, self._random, self._outcome = attack, random, Outcome()
        self._world = World({country: _learned(country, random) for country in HONEST})
        self._other_limits = _OtherLimits()
        self._unused: dict[int, int] = {}
        self._order = count()
        self._events: list[tuple[float, int, Callable[[float], None]]] = []

    def run(self) -> Outcome:
        for country in HONEST:
            for at in _arrivals(country, DAYS, self._random):
                self._at(at, partial(self._arrive, country))
        for number in range(self._attack.messages):
            self._at(START + DAY / 2 + number * self._attack.every, self._pump)
        while self._events:
            at, _, event = heapq.heappop(self._events)
            event(at)
        self._outcome.before_refusal = self._outcome.before_refusal or self._outcome.sent
        return self._outcome

    def _at(self, at: float, event: Callable[[float], None]) -> None:
        heapq.heappush(self._events, (at, next(self._order), event))

    def _arrive(self, country: str, at: float) -> None:
        self._outcome.begun[country] += 1
        self._begin(country, _honest(country, self._random), TRIES, at)

    def _begin(self, country: str, origin: Origin, tries: int, at: float) -> None:
        """Ask for a code; some people whose sign-in is not completed ask again."""
        if not self._world.send(country, origin, at):
            self._outcome.refused[country] += 1
            self._outcome.last_refused = at
        elif self._random.random() < HONEST[country][1]:
            self._at(
                at + self._random.uniform(8, 90), partial(self._world.sign_in, country, origin)
            )
        elif tries > 1 and self._random.random() < 0.5:
            self._at(at + 60, partial(self._begin, country, origin, tries - 1))

    def _pump(self, at: float) -> None:
        country = self._random.choice(self._attack.countries)
        number = self._random.randrange(self._attack.addresses)
        address = f"attacker {number}"
        networks: tuple[tuple[str, int], ...] = ((address, 1),)
        if self._attack.in_48:
            networks = ((address, 1), (f"attacker/56 {number // 256}", 4), ("attacker/48", 16))
        origin = (f"{country} {self._random.randrange(self._attack.ranges)}", networks)
        self._outcome.asked += 1
        if self._attack.own_phones:
            # Known devices get ten messages a day each, limited only by the sends overall
            self._outcome.unguarded = min(self._outcome.asked, ALL_DAY)
        else:
            self._outcome.unguarded += self._other_limits.allow(networks, at)
        if self._is_exempt(at):
            self._outcome.sent += 1
        elif self._world.send(country, origin, at):
            self._outcome.sent += 1
            if self._random.random() < self._attack.completed:
                self._at(at + 20, partial(self._world.sign_in, country, origin))
        elif not self._outcome.before_refusal:
            self._outcome.before_refusal = self._outcome.sent

    def _is_exempt(self, at: float) -> bool:
        """Return whether the message is to a known device with fewer than 3 unused messages."""
        if not self._attack.own_phones:
            return False
        now = round(at * SECOND)
        phone = self._random.randrange(self._attack.own_phones)
        [unused] = send_policy.unused_message_charges(
            LimitScope(phone=f"{phone}", address="", known_device=True, key=b"key")
        )
        tat = self._unused.get(phone, 0)
        if unused.is_exhausted(tat, now):
            return False
        self._unused[phone] = max(tat, now) + unused.increment
        return True


@dataclass
class _OtherLimits:
    """What the attacker gets without the cost guard."""

    sent: int = 0
    by_address: Counter[tuple[str, int]] = field(default_factory=Counter)

    def allow(self, networks: tuple[tuple[str, int], ...], at: float) -> bool:
        hour = int(at // HOUR)
        if self.sent >= STRANGERS_DAY or any(
            self.by_address[network, hour] >= ADDRESS_HOUR * times for network, times in networks
        ):
            return False
        self.sent += 1
        for network, _ in networks:
            self.by_address[network, hour] += 1
        return True


def _learned(country: str, random: Random) -> Normal:
    a_day, ratio = HONEST[country]
    days = []
    for _ in range(LEARNED_DAYS):
        sends = round(random.gauss(a_day, a_day**0.5) * 1.15)
        days.append(Counts(sends, sum(random.random() < ratio for _ in range(sends))))
    return rules.learn(days)


def _arrivals(country: str, days: int, random: Random) -> Iterator[float]:
    """Yield times in the rhythm of a day, nine times as many at its peak as at its lowest."""
    most = HONEST[country][0] / DAY * 1.8
    at = float(START)
    while (at := at + random.expovariate(most)) < START + days * DAY:
        if random.random() * 1.8 < 1 - 0.8 * sin(2 * pi * at / DAY):
            yield at


def _honest(country: str, random: Random) -> Origin:
    """Pick an origin: half share a few addresses of operators, half have one of their own."""
    home = random.random() < 0.5
    address = random.random() if home else random.randrange(SHARED_ADDRESSES)
    return f"{country} {random.randrange(RANGES)}", ((f"{country} address {address}", 1),)


def table() -> str:
    """Return the table in Markdown, with a row for each attack."""
    rows = [
        f"| {' | '.join(HEADINGS)} |",
        f"|{'---|' * len(HEADINGS)}",
    ]
    for attack in ATTACKS:
        outcome = simulate(attack)
        attacked = set(attack.countries) & set(HONEST)
        refused = sum(outcome.refused[country] for country in attacked)
        begun = sum(outcome.begun[country] for country in attacked)
        late = outcome.last_refused - (START + DAY / 2 + attack.hours * HOUR)
        rows.append(
            f"| {attack.name} | {outcome.asked:,} | {outcome.unguarded:,} "
            f"| {outcome.before_refusal:,} | {outcome.sent:,} "
            f"| {f'{refused:,} of {begun:,}' if begun else '-'} "
            f"| {outcome.refused.total() - refused:,} of {outcome.begun.total() - begun:,} "
            f"| {f'{late / 60:,.0f} min' if refused and late > 0 else '-'} |"
        )
    return "\n".join(rows)


if __name__ == "__main__":
    print(table())  # noqa: T201 - the output of `make cost-guard`
