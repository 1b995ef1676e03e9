"""Rules against SMS pumping: requesting messages that nobody uses, to earn from their fees.

**Debt.** Pumping shows in sends that are not followed by sign-ins. So each send adds 1 to the debt
of its country, its range of numbers and its address, and each completed sign-in takes off a
`credit`: a little more than the sends that a sign-in normally takes in that country, which is 1 /
(0.8 * the normal ratio of sign-ins to sends). The debt never falls below 0, so sign-ins cannot be
saved up for later; only within an hour sends and sign-ins are offset in either order. This is
Page's cumulative sum (E. S. Page, "Continuous inspection schemes", Biometrika 41, 1954), which
detects a fall of a ratio soonest for a given rate of false alarms. Below four fifths of the normal
ratio the debt grows without bound. Above, it stays near 0, and the probability that it reaches a
height by chance falls exponentially with the height.

**Allowance.** A segment (a country, range or address) whose debt would exceed its allowance is
refused messages. Below the allowance nobody is refused, first users and new countries included, so
an attacker gets that many messages for free. A country's allowance grows with the sign-ins of a
normal hour, because codes that are not entered yet are debt too. Debt is forgiven at the rate of
one allowance in 12 hours, and is capped at one hour of that above the allowance. So a country that
was pumped lets one message through about an hour after the last one, and each message that is
followed by a sign-in pays for the next. An attack closes a country for at most an hour longer than
it lasts.

**Share.** Under attack, the debt of each segment in the last 24 hours, with nothing forgiven, may
not exceed its *share*. Once a country has used half of its allowance, addresses and ranges with
three unused messages in the day are refused: honest people come from other addresses and have other
numbers, so most attacks end there. Once the debt of all countries together reaches four allowances,
see `is_worldwide`, each country has only its share: two messages if nobody normally signs in there.
Countries whose sign-ins are completed have no debt and notice nothing.

**Exceptions.** Closing a country refuses its people, which may be the aim of an attack. A closed
country stays open to known devices (limits/pumping/guard.py) and, for one message for each sign-in,
to addresses from which people signed in during the day, such as those of mobile operators and
offices.

**The normal ratio** is the median of the 14 days before the last 24 hours, so one pumped day hardly
changes it; a country with few sends starts at 0.6. A sign-in that an attacker completes with a
phone of their own pays for one to four messages, depending on the ratio, so each process credits a
phone once a day. An attacker who can read every pumped message and signs in with it is not
detected: then only the limit on the sends of a day is left.

**Weights.** A message counts for the weight of its channel (`REFERRAL_COSTS`): a call may count for
five messages. So does the sign-in that follows it, since it shows that this much was well spent: it
pays for five times as much as one by SMS.

Times are hours since the epoch, with fractions.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from math import ceil, inf
from statistics import median
from typing import NamedTuple

from msgspec import Struct

from referral.limits.policy import LimitName

WINDOW_HOURS = 24
LEARNED_DAYS = 14
REFILL_HOURS = 12

# The fraction of the normal ratio below which debt grows
_TOLERATED = 0.8
_PRIOR_RATIO, _PRIOR_SENDS = 0.6, 50
_MIN_RATIO, _MAX_RATIO = 0.3, 0.95
# A median needs this many days with at least this many sends each
_MIN_DAYS, _MIN_DAY_SENDS = 3, 20

_COUNTRY_ALLOWANCE, _COUNTRY_SHARE, _NEW_COUNTRY_SHARE = 50, 10, 2
# An address has more, since it may serve a room full of people who sign in together
_PART_ALLOWANCES = {LimitName.COST_GUARD_RANGE: 12, LimitName.COST_GUARD_ADDRESS: 24}
_PART_SHARE = 3
_WORLD_ALLOWANCE = 4 * _COUNTRY_ALLOWANCE
# Hours. A shorter wait is a rounding error at the end of an earlier one
_ROUNDING = 1e-6


class Counts(NamedTuple):
    """How many messages were sent, and how many sign-ins were completed, by their weights."""

    sends: int = 0
    sign_ins: int = 0

    def plus(self, sends: int, sign_ins: int) -> Counts:
        return Counts(self.sends + sends, self.sign_ins + sign_ins)


# By hours since the epoch
Hours = Mapping[int, Counts]


class Normal(Struct, frozen=True):
    """The normal traffic of a country. ratio: sign-ins for each send. sign_ins: in a day."""

    ratio: float = _PRIOR_RATIO
    sign_ins: float = 0

    @property
    def credit(self) -> float:
        return 1 / (_TOLERATED * self.ratio)

    @property
    def sign_ins_of_hour(self) -> float:
        return self.sign_ins / 24


DEFAULT_NORMAL = Normal()


class Segment(Struct, frozen=True, kw_only=True):
    """A country, or a *part*: a range of numbers or an address.

    allowance: the debt it may have. share: the debt of a day that it may have under attack.
    """

    limit: LimitName
    key: str
    hours: Hours
    credit: float
    allowance: float
    share: float

    @property
    def _forgiven_in_hour(self) -> float:
        return self.allowance / REFILL_HOURS

    def debt(self, now: float) -> float:
        """Return the unused messages beyond what is normal, less what is forgiven."""
        forgiven = self._forgiven_in_hour
        return self._debt(now, forgiven=forgiven, most=self.allowance + forgiven)

    def debt_of_day(self, now: float) -> float:
        """Return the same for the last 24 hours, with nothing forgiven."""
        return self._debt(now, forgiven=0, most=inf)

    def wait(self, debt: float, level: float, weight: int) -> float:
        """Return the hours until a message fits below `level`, if nothing is counted meanwhile."""
        hours = (debt - _max_debt(level, weight)) / self._forgiven_in_hour
        return hours if hours > _ROUNDING else 0

    def wait_for_share(self, now: float, weight: int) -> float:
        """Return the hours until a message fits below the share with the debt of the day."""
        most = _max_debt(self.share, weight)
        if self.debt_of_day(now) <= most:
            return 0
        # One hour more, since another machine's clock may be in the next hour already
        later = range(int(now) + 1, int(now) + WINDOW_HOURS + 2)
        # The debt never grows as hours leave the day
        first = bisect_left(later, True, key=lambda hour: self.debt_of_day(hour) <= most)
        return later[min(first, len(later) - 1)] - now

    def is_trusted(self, now: float, weight: int) -> bool:
        """Return whether sign-ins of the day from this address allow one more message."""
        sign_ins = sum(counts.sign_ins for _, counts in self._day(now))
        return sign_ins > 0 and self.debt_of_day(now) <= _max_debt(
            min(self.share, sign_ins), weight
        )

    def _debt(self, now: float, *, forgiven: float, most: float) -> float:
        debt, before = 0.0, 0
        for hour, counts in self._day(now):
            debt = max(debt - forgiven * (hour - before), 0)
            debt = min(max(debt + counts.sends - self.credit * counts.sign_ins, 0), most)
            before = hour
        return max(debt - forgiven * (now - before), 0)

    def _day(self, now: float) -> list[tuple[int, Counts]]:
        first = int(now) - WINDOW_HOURS + 1
        return sorted(each for each in self.hours.items() if first <= each[0] <= now)


class Block(Struct, frozen=True):
    """A refusal of a message.

    segment: the one that refuses it. seconds: until a retry is allowed, if nothing else is counted.
    """

    segment: Segment
    seconds: int


def country(key: str, hours: Hours, normal: Normal) -> Segment:
    per_hour = normal.sign_ins_of_hour
    return Segment(
        limit=LimitName.COST_GUARD_COUNTRY,
        key=key,
        hours=hours,
        credit=normal.credit,
        allowance=_COUNTRY_ALLOWANCE + per_hour,
        share=min(_NEW_COUNTRY_SHARE + normal.sign_ins, _COUNTRY_SHARE + per_hour),
    )


def part(limit: LimitName, key: str, hours: Hours, times: int = 1) -> Segment:
    """Build the segment of a range or an address.

    times: the multiplier of its allowance and share, see `address.networks`.
    """
    return Segment(
        limit=limit,
        key=key,
        hours=hours,
        credit=DEFAULT_NORMAL.credit,
        allowance=_PART_ALLOWANCES[limit] * times,
        share=_PART_SHARE * times,
    )


def learn(days: Sequence[Counts]) -> Normal:
    """Return the normal traffic of a country.

    days: those of the `LEARNED_DAYS` before the last 24 hours on which something was sent.
    """
    sends, sign_ins = (sum(each) for each in zip(*days, strict=True)) if days else (0, 0)
    ratios = [day.sign_ins / day.sends for day in days if day.sends >= _MIN_DAY_SENDS]
    if len(ratios) >= _MIN_DAYS:
        ratio = median(ratios)
    else:
        ratio = (sign_ins + _PRIOR_RATIO * _PRIOR_SENDS) / (sends + _PRIOR_SENDS)
    return Normal(min(max(ratio, _MIN_RATIO), _MAX_RATIO), sign_ins / LEARNED_DAYS)


def is_worldwide(countries: Iterable[tuple[Hours, Normal]], now: float) -> bool:
    """Return whether the debt of all countries together reaches the limit for all.

    The limit is four allowances of a new country, and a normal hour of sign-ins in every country.
    """
    debt, allowance = 0.0, float(_WORLD_ALLOWANCE)
    for hours, normal in countries:
        segment = country("", hours, normal)
        debt += min(segment.debt_of_day(now), segment.allowance)
        allowance += normal.sign_ins_of_hour
    return debt >= allowance


def judge(
    country: Segment, parts: Sequence[Segment], *, worldwide: bool, now: float, weight: int = 1
) -> Block | None:
    """Return why a message to this country is refused, or None.

    parts: the phone's range and the networks of the address. weight: that of the message's channel.
    """
    debt = country.debt(now)
    waits = [(each, each.wait(each.debt(now), each.allowance, weight)) for each in parts]
    if suspicious := country.wait(debt, country.allowance / 2, weight):
        waits += [(each, min(suspicious, each.wait_for_share(now, weight))) for each in parts]
    addresses = [each for each in parts if each.limit == LimitName.COST_GUARD_ADDRESS]
    if not any(each.is_trusted(now, weight) for each in addresses):
        waits.append((country, country.wait(debt, country.allowance, weight)))
        waits.append((country, country.wait_for_share(now, weight) if worldwide else 0))
    segment, hours = max(waits, key=lambda each: each[1])
    return Block(segment, max(ceil(hours * 3600), 1)) if hours else None


def _max_debt(level: float, weight: int) -> float:
    """Return the debt up to which a message fits below a level.

    A message that weighs more than the level fits if there is no debt.
    """
    return max(level - weight, 0)
