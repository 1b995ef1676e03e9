"""Whether messages are being pumped: asked for so that somebody earns by them, and never used.

The sign is that sends stop being followed by sign-ins. So each send costs its country, its range of
numbers and its address 1, and each completed sign-in pays back `credit`, a little more than the
sends that it normally takes: 1 / (0.8 * the normal ratio of sign-ins to sends). What is debt never
falls below 0, so good times cannot be saved up for longer than an hour. That is Page's cumulative
sum (E. S. Page, "Continuous inspection schemes", Biometrika 41, 1954), the quickest test there is
for a ratio that falls: below four fifths of the normal it grows without end, above it stays near 0,
and its chance to reach a height by luck falls exponentially with the height.

What may be debt is the *allowance*: the floor under which nobody is ever refused, first users and
new countries included, and what an attacker gets for nothing. It grows with the sign-ins of a
normal hour, because codes under way are debt too. It refills over 12 hours, and no more than an
hour's refill can be debt beyond it: so a country that was pumped lets a message through an hour or
so after the last one, and each one that is completed pays for the next. No attack can close it for
longer than it goes on, and an hour.

Where a whole is pumped, its parts are judged more sternly, by their *share*: what they owe of the
last day without any refill. A country that owes half of its allowance refuses addresses and ranges
for which three messages of the day were left unused: people come from other addresses and have
other numbers, so most attacks end there. Where four countries' worth is debt all over the world,
each has its share alone: two messages where nobody signs in normally. Countries whose sign-ins are
completed owe nothing, and feel nothing.

To close a country is to refuse its people, which may be what somebody wants. It stays open to
known devices (limits/pumping/guard.py) and to addresses from which people signed in during the day,
as those of operators and offices are: each such sign-in has_sign_ins for one message.

What is normal is the median of the days before the last, so one that was pumped changes nothing;
a country with few sends begins at 0.6. Sign-ins that an attacker completes with phones of their
own pay for two or three messages each, which is why a phone pays once a day, in each process.
Somebody who can read every message that they pump is beyond this: what is left is the cap on all
sends of a day.

Times are hours since the epoch, with their fractions.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from math import ceil, inf
from statistics import median
from typing import NamedTuple

from msgspec import Struct

OF_COUNTRY, OF_RANGE, OF_ADDRESS = (
    f"cost-guard-{segment}" for segment in ("country", "range", "address")
)
WINDOW_HOURS = 24
LEARNED_DAYS = 14
REFILL_HOURS = 12

_TOLERATED = 0.8
_PRIOR_RATIO, _PRIOR_SENDS = 0.6, 50
_LOWEST_RATIO, _HIGHEST_RATIO = 0.3, 0.95
_DAY_SENDS, _DAYS = 20, 3

_COUNTRY, _COUNTRY_SHARE, _NEW_SHARE = 50, 10, 2
# A room full of people asks from one address at once
_PARTS, _PART_SHARE = {OF_RANGE: 12, OF_ADDRESS: 24}, 3
_WORLD = 4 * _COUNTRY
# Hours; at the end of a wait, what is left of it is nothing
_ROUNDING = 1e-6


class Counts(NamedTuple):
    """What was sent, and how many sign-ins were completed."""

    sends: int = 0
    sign_ins: int = 0

    def plus(self, sends: int, sign_ins: int) -> Counts:
        return Counts(self.sends + sends, self.sign_ins + sign_ins)


# By hours since the epoch
Hours = Mapping[int, Counts]


class Normal(Struct, frozen=True):
    """What is usual in a country: sign-ins for each send, and sign-ins in a day."""

    ratio: float = _PRIOR_RATIO
    sign_ins: float = 0

    @property
    def credit(self) -> float:
        return 1 / (_TOLERATED * self.ratio)

    @property
    def sign_ins_of_hour(self) -> float:
        return self.sign_ins / 24


USUAL = Normal()


class Segment(Struct, frozen=True, kw_only=True):
    """A country, a range of numbers or an address, and what it may owe.

    limit: the name, for people. share: of a day, where the whole that it belongs to is pumped.
    """

    limit: str
    key: str
    hours: Hours
    credit: float
    allowance: float
    share: float

    @property
    def _refill(self) -> float:
        """Of an hour."""
        return self.allowance / REFILL_HOURS

    def debt(self, now: float) -> float:
        """Messages without a sign-in, beyond what is normal, as far as they are not forgiven."""
        return self._debt(now, refill=self._refill, most=self.allowance + self._refill)

    def debt_of_day(self, now: float) -> float:
        """The same, with nothing forgiven."""
        return self._debt(now, refill=0, most=inf)

    def wait(self, debt: float, level: float) -> float:
        """Hours until one more message owes no more than this, if nothing happens until then."""
        hours = (debt - level + 1) / self._refill
        return hours if hours > _ROUNDING else 0

    def wait_for_share(self, now: float) -> float:
        """Hours until one more message stays within the share of a day."""
        if self.debt_of_day(now) <= self.share - 1:
            return 0
        # An hour more: another machine's clock may be in the next one already
        later = range(int(now) + 1, int(now) + WINDOW_HOURS + 2)
        # What is debt never grows while hours leave the day
        first = bisect_left(later, True, key=lambda hour: self.debt_of_day(hour) <= self.share - 1)
        return later[min(first, len(later) - 1)] - now

    def has_sign_ins(self, now: float) -> bool:
        """Whether people signed in from this address, and that pays for one message more."""
        sign_ins = sum(counts.sign_ins for _, counts in self._day(now))
        return self.debt_of_day(now) <= min(self.share, sign_ins) - 1

    def _debt(self, now: float, *, refill: float, most: float) -> float:
        debt, before = 0.0, 0
        for hour, counts in self._day(now):
            debt = max(debt - refill * (hour - before), 0)
            debt = min(max(debt + counts.sends - self.credit * counts.sign_ins, 0), most)
            before = hour
        return max(debt - refill * (now - before), 0)

    def _day(self, now: float) -> list[tuple[int, Counts]]:
        first = int(now) - WINDOW_HOURS + 1
        return sorted(each for each in self.hours.items() if first <= each[0] <= now)


class Block(Struct, frozen=True):
    """Why a message is not sent. seconds: after which it is, if nothing happens until then."""

    segment: Segment
    seconds: int


def country(key: str, hours: Hours, normal: Normal) -> Segment:
    return Segment(
        limit=OF_COUNTRY,
        key=key,
        hours=hours,
        credit=normal.credit,
        allowance=_COUNTRY + normal.sign_ins_of_hour,
        share=min(_NEW_SHARE + normal.sign_ins, _COUNTRY_SHARE + normal.sign_ins_of_hour),
    )


def part(limit: str, key: str, hours: Hours, times: int = 1) -> Segment:
    """A range or an address. times: how much more it may owe, see `address.networks`."""
    return Segment(
        limit=limit,
        key=key,
        hours=hours,
        credit=USUAL.credit,
        allowance=_PARTS[limit] * times,
        share=_PART_SHARE * times,
    )


def learn(days: Sequence[Counts]) -> Normal:
    """What was normal, given each of the `LEARNED_DAYS` before the last that had a send."""
    sends, sign_ins = (sum(each) for each in zip(*days, strict=True)) if days else (0, 0)
    ratios = [day.sign_ins / day.sends for day in days if day.sends >= _DAY_SENDS]
    if len(ratios) >= _DAYS:
        ratio = median(ratios)
    else:
        ratio = (sign_ins + _PRIOR_RATIO * _PRIOR_SENDS) / (sends + _PRIOR_SENDS)
    return Normal(min(max(ratio, _LOWEST_RATIO), _HIGHEST_RATIO), sign_ins / LEARNED_DAYS)


def is_everywhere(countries: Iterable[tuple[Hours, Normal]], now: float) -> bool:
    """Whether four countries' worth is debt by all countries together."""
    debt, allowed = 0.0, float(_WORLD)
    for hours, normal in countries:
        segment = country("", hours, normal)
        debt += min(segment.debt_of_day(now), segment.allowance)
        allowed += normal.sign_ins_of_hour
    return debt >= allowed


def judge(
    country: Segment, parts: Sequence[Segment], *, everywhere: bool, now: float
) -> Block | None:
    """Whether a message to this country, of this range and from these addresses, is refused."""
    debt = country.debt(now)
    waits = [(each, each.wait(each.debt(now), each.allowance)) for each in parts]
    if suspicious := country.wait(debt, country.allowance / 2):
        waits += [(each, min(suspicious, each.wait_for_share(now))) for each in parts]
    if not any(each.limit == OF_ADDRESS and each.has_sign_ins(now) for each in parts):
        waits.append((country, country.wait(debt, country.allowance)))
        waits.append((country, country.wait_for_share(now) if everywhere else 0))
    segment, hours = max(waits, key=lambda each: each[1])
    return Block(segment, max(ceil(hours * 3600), 1)) if hours else None
