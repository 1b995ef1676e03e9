"""Sends and completed sign-ins of each country, range of numbers and address, counted aside.

A send looks at memory only. Every two seconds each process adds what it counted to the database,
and is told where the countries stand, and the ranges and addresses to which it added: those of an
attack are among them. Once a minute it reads the whole day of the countries, what is normal in
them, and the ranges and addresses for which most was sent.

Two seconds are enough for several processes to let a burst through, each as much as one may. So a
send that would be refused if other processes had counted as much as this one waits until all have
added what they counted, itself included, and is judged by that.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, defaultdict
from collections.abc import Iterable
from contextvars import Context
from datetime import datetime
from typing import Any

from referral.core.address import networks
from referral.core.phone import country as country_of
from referral.limits.guess_policy import LimitScope
from referral.limits.pumping import rules, traffic_counts
from referral.limits.pumping.rules import (
    LEARNED_DAYS,
    OF_ADDRESS,
    OF_RANGE,
    WINDOW_HOURS,
    Block,
    Counts,
    Normal,
)
from referral.limits.pumping.traffic_counts import Row
from referral.storage import database

_MOST_PARTS = 30_000
_READ_PARTS, _READ_SENDS = 5000, 2
_RANGE_DIGITS = 4
# So many processes may each have counted as much as this one and one message: where less than this
# is left, every message is added before it is judged. Where more is left, a process may be late by
# a 64th of that
_PROCESSES = 64
_MOST_PHONES = 50_000
_FORGET_AT_ONCE = 5000

_NONE = Counts()

Segments = dict[str, dict[int, Counts]]


class Traffic:
    """What this process knows of the last day, a few seconds old."""

    def __init__(self) -> None:
        self._countries: Segments = {}
        # The one that was touched last is the last. A dict would look for its first past all that
        # were deleted before it
        self._parts: OrderedDict[str, dict[int, Counts]] = OrderedDict()
        self._unsaved: dict[tuple[str, int], Counts] = {}
        self._normal: dict[str, Normal] = {}
        self._paid: OrderedDict[str, datetime] = OrderedDict()
        self._everywhere = False
        self._one_at_a_time = asyncio.Lock()
        self._next_save: asyncio.Task[None] | None = None

    async def take(self, scope: LimitScope, at: datetime) -> Block | None:
        """Count a message, unless it is refused."""
        if self.judge(scope, at, processes=_PROCESSES):
            if block := self.judge(scope, at):
                return block
            self.sent(scope, at)
            try:
                await self._save_together(at)
            finally:
                self.not_sent(scope, at)
            if block := self.judge(scope, at):
                return block
        self.sent(scope, at)
        return None

    def sent(self, scope: LimitScope, at: datetime) -> None:
        self._add(scope, at, sends=1)

    def not_sent(self, scope: LimitScope, at: datetime) -> None:
        """Take back what `sent` counted at this moment."""
        self._add(scope, at, sends=-1)

    def signed_in(self, scope: LimitScope, at: datetime) -> None:
        """A phone pays once a day: it costs nothing to complete sign-ins of one's own."""
        phone = scope.counter("cost-guard-phone", scope.phone)
        paid = self._paid.pop(phone, None)
        recent = paid is not None and (at - paid).total_seconds() < WINDOW_HOURS * 3600
        self._paid[phone] = paid if paid is not None and recent else at
        _drop_first(self._paid, _MOST_PHONES)
        if not recent:
            self._add(scope, at, sign_ins=1)

    def judge(self, scope: LimitScope, at: datetime, *, processes: int = 1) -> Block | None:
        """Whether a message is refused to this phone from this address.

        processes: how many have counted what this one did since it last added it.
        """
        region = country_of(scope.phone)
        here = self._countries.get(region, {})
        hour = int(_hours(at))
        return rules.judge(
            rules.country(
                region, self._times(processes, region, here, hour, least=1), self._normal_in(region)
            ),
            [
                rules.part(limit, key, self._times(processes, key, hours, hour), times)
                for limit, key, times in _parts(scope)
                # Most were sent to by nobody else, and owe nothing
                if (hours := self._parts.get(key))
            ],
            everywhere=self._everywhere,
            now=_hours(at),
        )

    async def save(self, at: datetime) -> None:
        """Add what this process counted, and read where the countries stand."""
        async with self._one_at_a_time:
            await self._save(at)

    async def _save_together(self, at: datetime) -> None:
        """As `save`, in one round for all who wait for it."""
        if self._next_save is None:
            # Not in the context of the first, which may have a transaction under way
            self._next_save = database.spawn(self._save_for_all(at), context=Context())
        await asyncio.shield(self._next_save)

    async def _save_for_all(self, at: datetime) -> None:
        async with self._one_at_a_time:
            self._next_save = None
            await self._save(at)

    async def _save(self, at: datetime) -> None:
        counted, self._unsaved = self._unsaved, {}
        try:
            rows = await traffic_counts.add(counted) if counted else []
        except BaseException:
            for (segment, hour), counts in counted.items():
                self._unsaved[segment, hour] = counts.plus(*self._of(segment, hour))
            raise
        self._take(rows)
        self._take(await traffic_counts.countries(since=int(_hours(at)) - 1))
        countries = ((hours, self._normal_in(region)) for region, hours in self._countries.items())
        self._everywhere = rules.is_everywhere(countries, _hours(at))

    async def read(self, at: datetime) -> None:
        """Read where everything stands, and what is normal."""
        hour = int(_hours(at))
        since = hour - WINDOW_HOURS + 1
        async with self._one_at_a_time:
            days: dict[str, list[Counts]] = defaultdict(list)
            for region, day in await traffic_counts.days(
                since=since - 24 * LEARNED_DAYS, before=since
            ):
                days[region].append(day)
            self._normal = {region: rules.learn(found) for region, found in days.items()}
            for segments in (self._countries, self._parts):
                _forget(segments, since)
            self._take(await traffic_counts.countries(since=since))
            self._take(await traffic_counts.parts(since=since, least=_READ_SENDS, most=_READ_PARTS))

    def _times(
        self, processes: int, segment: str, hours: dict[int, Counts], hour: int, *, least: int = 0
    ) -> dict[int, Counts]:
        """The hours of a segment, if as many processes counted what this one did. least: so many
        messages each, also if this one counted fewer.
        """
        others = (processes - 1) * max(self._of(segment, hour).sends, least)
        return {**hours, hour: hours.get(hour, _NONE).plus(others, 0)} if others else hours

    def _normal_in(self, region: str) -> Normal:
        return self._normal.get(region, rules.USUAL)

    def _add(self, scope: LimitScope, at: datetime, *, sends: int = 0, sign_ins: int = 0) -> None:
        hour = int(_hours(at))
        for segment in (country_of(scope.phone), *(key for _, key, _ in _parts(scope))):
            hours = self._touched(segment)
            hours[hour] = hours.get(hour, _NONE).plus(sends, sign_ins)
            self._unsaved[segment, hour] = self._of(segment, hour).plus(sends, sign_ins)

    def _of(self, segment: str, hour: int) -> Counts:
        """What this process counted since it last added it."""
        return self._unsaved.get((segment, hour), _NONE)

    def _take(self, rows: Iterable[Row]) -> None:
        for segment, hour, counts in rows:
            self._touched(segment)[hour] = counts.plus(*self._of(segment, hour))

    def _touched(self, segment: str) -> dict[int, Counts]:
        if len(segment) == len("RU"):
            return self._countries.setdefault(segment, {})
        hours = self._parts.setdefault(segment, {})
        self._parts.move_to_end(segment)
        _drop_first(self._parts, _MOST_PARTS)
        return hours


async def purge(at: datetime) -> int:
    """Delete what is too old to say anything; answers how many rows."""
    since = int(_hours(at)) - WINDOW_HOURS + 1
    forgotten = 0
    while True:
        some = await traffic_counts.purge(
            before=since - 24 * LEARNED_DAYS, parts_before=since, most=_FORGET_AT_ONCE
        )
        forgotten += some
        if some < _FORGET_AT_ONCE:
            return forgotten


def _parts(scope: LimitScope) -> list[tuple[str, str, int]]:
    """The phone's range and the address's networks: limits, keys, how much more each may owe."""
    numbers = scope.phone[:-_RANGE_DIGITS]
    return [
        (OF_RANGE, scope.counter(OF_RANGE, numbers), 1),
        *(
            (OF_ADDRESS, scope.counter(OF_ADDRESS, network), times)
            for network, times in networks(scope.address)
        ),
    ]


def _hours(at: datetime) -> float:
    return at.timestamp() / 3600


def _forget(segments: Segments, since: int) -> None:
    for segment, hours in list(segments.items()):
        for hour in [hour for hour in hours if hour < since]:
            del hours[hour]
        if not hours:
            del segments[segment]


def _drop_first(data_keys: OrderedDict[str, Any], most: int) -> None:
    while len(data_keys) > most:
        data_keys.popitem(last=False)
