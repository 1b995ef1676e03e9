"""A simulation of pumping beside honest traffic: what it costs, and whom the cost guard refuses.

It judges by the rules of limits/pumping/rules.py. `make cost-guard` prints the tables of
docs/cost-guard.md, the same numbers each time. What a message costs is counted by its weight.
"""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
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


@dataclass(frozen=True, kw_only=True)
class Message:
    """A message by a channel, at its weight in REFERRAL_COSTS."""

    weight: int = 1
    unbilled: float = 0
    """The share of unused messages that the provider does not bill, and reports so."""
    reported_after: float = 300
    """Seconds until that report."""
    fallback: int = 0
    """The weight of the channel that takes the message, after the first has refused the phone."""


SMS, CALL = Message(), Message(weight=5)
# Not delivered in the five minutes for which the code is valid
TELEGRAM, UNDELIVERED_TELEGRAM = Message(unbilled=0.5), Message(unbilled=1)
WHATSAPP = Message(unbilled=0.1, reported_after=600)
FAILING_WHATSAPP = Message(unbilled=1, reported_after=600)
DEAR_SMS = Message(fallback=3)
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
    asks_for: tuple[Message, ...] = (SMS,)
    """Messages in turn, so `(SMS, CALL)` is an SMS to a phone and then a call."""
    people_get: tuple[Message, ...] = (SMS,)
    """What honest people are sent, each as often as the others."""
    people_get_again: tuple[Message, ...] = (SMS,)
    """The same, if they ask again."""

    @property
    def messages(self) -> int:
        return int(self.hours * HOUR / self.every) if self.countries else 0


_HONEST_HEADINGS = (
    "Honest sign-ins refused where attacked",
    "Elsewhere",
    "Last refusal after the attack",
)
HEADINGS = (
    "Attack",
    "Messages asked for",
    "Sent without the guard",
    "Sent before the first refusal",
    "Sent in all",
    *_HONEST_HEADINGS,
)
CHANNEL_HEADINGS = (
    "Attack",
    "Asked for",
    "Billed without the guard",
    "Billed before the first refusal",
    "Billed in all",
    *_HONEST_HEADINGS,
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

_BY_CHANNELS = Attack(
    name="none",
    countries=(),
    addresses=2000,
    ranges=RANGES,
    people_get=(SMS, TELEGRAM, TELEGRAM, WHATSAPP),
    people_get_again=(SMS, CALL),
)
_NEW, _LARGEST = replace(_BY_CHANNELS, countries=("QA",)), replace(_BY_CHANNELS, countries=("RU",))
CHANNEL_ATTACKS = [
    _BY_CHANNELS,
    replace(_NEW, name="a new country: SMS"),
    replace(_NEW, name="calls, each after an SMS", asks_for=(SMS, CALL)),
    replace(_NEW, name="the same, a fifth completed", asks_for=(SMS, CALL), completed=0.2),
    replace(_NEW, name="refused by Telegram, then an SMS that weighs 3", asks_for=(DEAR_SMS,)),
    replace(_NEW, name="Telegram, none of it delivered", asks_for=(UNDELIVERED_TELEGRAM,)),
    replace(_NEW, name="the same, and an SMS each", asks_for=(UNDELIVERED_TELEGRAM, SMS)),
    replace(_NEW, name="WhatsApp, half of it fails", asks_for=(FAILING_WHATSAPP, WHATSAPP)),
    replace(_LARGEST, name="the largest country: SMS"),
    replace(_LARGEST, name="calls, each after an SMS", asks_for=(SMS, CALL)),
    replace(_LARGEST, name="the same, a fifth completed", asks_for=(SMS, CALL), completed=0.2),
    replace(
        _LARGEST, name="calls, each after an SMS, three ranges", asks_for=(SMS, CALL), ranges=3
    ),
    replace(_LARGEST, name="WhatsApp, half of it fails", asks_for=(FAILING_WHATSAPP, WHATSAPP)),
    replace(
        _LARGEST,
        name="every channel in turn",
        asks_for=(SMS, CALL, TELEGRAM, WHATSAPP, DEAR_SMS, FAILING_WHATSAPP),
    ),
]


@dataclass
class Outcome:
    """The result of an attack. refused, begun: honest sign-ins, by country."""

    asked: int = 0
    unguarded: int = 0
    before_refusal: int = 0
    billed: int = 0
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

    def send(self, country: str, origin: Origin, at: float, weight: int = 1) -> bool:
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
            weight=weight,
        )
        if block is None:
            self._add(country, origin, int(now), sends=weight)
        return block is None

    def move(self, country: str, origin: Origin, at: float, weight: int, another: int) -> bool:
        """Return whether a message passes at another channel's weight, and count it so."""
        self.refund(country, origin, weight, at, at)
        is_sent = self.send(country, origin, at, another)
        if not is_sent:
            self._add(country, origin, int(at / HOUR), sends=weight)
        return is_sent

    def refund(self, country: str, origin: Origin, weight: int, sent_at: float, _at: float) -> None:
        self._add(country, origin, int(sent_at / HOUR), sends=-weight)

    def sign_in(self, country: str, origin: Origin, weight: int, at: float) -> None:
        self._add(country, origin, int(at / HOUR), sign_ins=weight)

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
            message = self._attack.asks_for[number % len(self._attack.asks_for)]
            self._at(START + DAY / 2 + number * self._attack.every, partial(self._pump, message))
        while self._events:
            at, _, event = heapq.heappop(self._events)
            event(at)
        self._outcome.before_refusal = self._outcome.before_refusal or self._outcome.billed
        return self._outcome

    def _at(self, at: float, event: Callable[[float], None]) -> None:
        heapq.heappush(self._events, (at, next(self._order), event))

    def _arrive(self, country: str, at: float) -> None:
        self._outcome.begun[country] += 1
        self._begin(country, _honest(country, self._random), TRIES, at)

    def _begin(self, country: str, origin: Origin, tries: int, at: float) -> None:
        """Ask for a code; some people whose sign-in is not completed ask again."""
        message = self._pick(
            self._attack.people_get if tries == TRIES else self._attack.people_get_again
        )
        if not self._world.send(country, origin, at, message.weight):
            self._outcome.refused[country] += 1
            self._outcome.last_refused = at
            return
        if self._random.random() < HONEST[country][1]:
            self._at(
                at + self._random.uniform(8, 90),
                partial(self._world.sign_in, country, origin, message.weight),
            )
            return
        if not self._is_billed(message):
            self._refund_later(message, country, origin, at)
        if tries > 1 and self._random.random() < 0.5:
            self._at(at + 60, partial(self._begin, country, origin, tries - 1))

    def _pick(self, messages: tuple[Message, ...]) -> Message:
        return messages[0] if len(messages) == 1 else self._random.choice(messages)

    def _is_billed(self, message: Message) -> bool:
        """Return whether the provider bills a message that stays unused."""
        return not message.unbilled or self._random.random() >= message.unbilled

    def _refund_later(self, message: Message, country: str, origin: Origin, at: float) -> None:
        self._at(
            at + message.reported_after,
            partial(self._world.refund, country, origin, message.weight, at),
        )

    def _pump(self, message: Message, at: float) -> None:
        country = self._random.choice(self._attack.countries)
        number = self._random.randrange(self._attack.addresses)
        address = f"attacker {number}"
        networks: tuple[tuple[str, int], ...] = ((address, 1),)
        if self._attack.in_48:
            networks = ((address, 1), (f"attacker/56 {number // 256}", 4), ("attacker/48", 16))
        origin = (f"{country} {self._random.randrange(self._attack.ranges)}", networks)
        weight = message.fallback or message.weight
        cost = weight if self._is_billed(message) else 0
        self._outcome.asked += weight
        if self._attack.own_phones:
            # Known devices get ten messages a day each, limited only by the sends overall
            self._outcome.unguarded = min(self._outcome.asked, ALL_DAY)
        else:
            self._outcome.unguarded += self._other_limits.allow(networks, at, cost)
        if self._is_exempt(at):
            self._outcome.billed += cost
        elif self._is_sent(message, country, origin, at):
            self._outcome.billed += cost
            if not cost:
                self._refund_later(message, country, origin, at)
            elif self._random.random() < self._attack.completed:
                self._at(at + 20, partial(self._world.sign_in, country, origin, weight))
        elif not self._outcome.before_refusal:
            self._outcome.before_refusal = self._outcome.billed

    def _is_sent(self, message: Message, country: str, origin: Origin, at: float) -> bool:
        return self._world.send(country, origin, at, message.weight) and (
            not message.fallback
            or self._world.move(country, origin, at, message.weight, message.fallback)
        )

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

    def allow(self, networks: tuple[tuple[str, int], ...], at: float, weight: int) -> int:
        """Count a message. Return its weight, 0 if it is refused or not billed."""
        hour = int(at // HOUR)
        if self.sent + weight > STRANGERS_DAY or any(
            self.by_address[network, hour] >= ADDRESS_HOUR * times for network, times in networks
        ):
            return 0
        self.sent += weight
        for network, _ in networks:
            self.by_address[network, hour] += 1
        return weight


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


def tables() -> list[str]:
    """Return the tables in Markdown: attacks by SMS, and by other channels too."""
    return [_table(HEADINGS, ATTACKS), _table(CHANNEL_HEADINGS, CHANNEL_ATTACKS)]


def _table(headings: tuple[str, ...], attacks: list[Attack]) -> str:
    rows = [
        f"| {' | '.join(headings)} |",
        f"|{'---|' * len(headings)}",
    ]
    for attack in attacks:
        outcome = simulate(attack)
        attacked = set(attack.countries) & set(HONEST)
        refused = sum(outcome.refused[country] for country in attacked)
        begun = sum(outcome.begun[country] for country in attacked)
        late = outcome.last_refused - (START + DAY / 2 + attack.hours * HOUR)
        rows.append(
            f"| {attack.name} | {outcome.asked:,} | {outcome.unguarded:,} "
            f"| {outcome.before_refusal:,} | {outcome.billed:,} "
            f"| {f'{refused:,} of {begun:,}' if begun else '-'} "
            f"| {outcome.refused.total() - refused:,} of {outcome.begun.total() - begun:,} "
            f"| {f'{late / 60:,.0f} min' if refused and late > 0 else '-'} |"
        )
    return "\n".join(rows)


if __name__ == "__main__":
    print("\n\n".join(tables()))  # noqa: T201 - the output of `make cost-guard`
