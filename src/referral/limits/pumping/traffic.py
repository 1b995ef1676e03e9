"""Sends and completed sign-ins of each country, range of numbers and address, kept in memory.

A send usually reads only memory. Every two seconds each process adds its counts to the database and
reads back the countries, and the ranges and addresses to which it added: those of an attack are
among them. Once a minute it reads the last day of all countries, their normal traffic, and the
ranges and addresses with the most sends.

In two seconds, each of several processes could let a burst of as many messages through as a segment
may have in all. So a send that would be refused if other processes had counted as much as this one
waits until this process has added its counts, this send included, and is judged by the sum.
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
from referral.limits.policy import LimitName
from referral.limits.pumping import rules, traffic_counts
from referral.limits.pumping.rules import LEARNED_DAYS, WINDOW_HOURS, Block, Counts, Normal
from referral.limits.pumping.traffic_counts import Row
from referral.limits.scope import LimitScope
from referral.storage import database

_MAX_PARTS = 30_000
# How many parts to read every minute, and how many sends a day each must have
_PARTS_READ, _MIN_SENDS_READ = 5000, 2
# The numbers of a range differ in their last digits
_RANGE_DIGITS = 4
# How many processes are assumed to have counted since their last save as much as this one has, and
# for a country at least one message each. So if a country has fewer than 64 messages left, each is
# added to the database before it is judged. If it has more left, a process may be late by a 64th
_MAX_PROCESSES = 64
_MAX_PHONES = 50_000

_NONE = Counts()

Segments = dict[str, dict[int, Counts]]


class Traffic:
    """The traffic of the last day as this process knows it, a few seconds old."""

    def __init__(self) -> None:
        self._countries: Segments = {}
        # Least recently used first. Dropping the first key of a plain dict would take longer with
        # each key that was dropped before it
        self._parts: OrderedDict[str, dict[int, Counts]] = OrderedDict()
        self._unsaved: dict[tuple[str, int], Counts] = {}
        self._normal: dict[str, Normal] = {}
        self._last_credited: OrderedDict[str, datetime] = OrderedDict()
        self._worldwide = False
        self._saving = asyncio.Lock()
        self._next_save: asyncio.Task[None] | None = None

    async def admit(self, scope: LimitScope, at: datetime) -> Block | None:
        """Count a message and return None, or return why it is refused."""
        if self.check(scope, at, processes=_MAX_PROCESSES):
            if block := self.check(scope, at):
                return block
            self.count_send(scope, at)
            try:
                await self._save_with_others(at)
            finally:
                self.refund_send(scope, at)
            if block := self.check(scope, at):
                return block
        self.count_send(scope, at)
        return None

    def check(self, scope: LimitScope, at: datetime, *, processes: int = 1) -> Block | None:
        """Return why a message to this phone from this address is refused, or None.

        processes: how many are assumed to have counted, since their last save, as much as this one.
        """
        region = country_of(scope.phone)
        country_hours = self._countries.get(region, {})
        hour = int(_hours(at))
        return rules.judge(
            rules.country(
                region,
                self._extrapolated(processes, region, country_hours, hour, least=1),
                self._normal_in(region),
            ),
            [
                rules.part(limit, key, self._extrapolated(processes, key, hours, hour), times)
                for limit, key, times in _parts(scope)
                # Most parts have had no other message, and so have no debt
                if (hours := self._parts.get(key))
            ],
            worldwide=self._worldwide,
            now=_hours(at),
            weight=scope.weight,
        )

    def count_send(self, scope: LimitScope, at: datetime) -> None:
        self._add_to_all(scope, at, sends=scope.weight)

    def refund_send(self, scope: LimitScope, at: datetime) -> None:
        """Undo a `count_send` of this time."""
        self._add_to_all(scope, at, sends=-scope.weight)

    def count_sign_in(self, scope: LimitScope, at: datetime) -> None:
        """Count a sign-in, but only one a day for each phone: attackers sign in with their own."""
        phone = scope.counter_key("cost-guard-phone", scope.phone)
        credited = self._last_credited.pop(phone, None)
        recent = credited is not None and (at - credited).total_seconds() < WINDOW_HOURS * 3600
        self._last_credited[phone] = credited if credited is not None and recent else at
        _drop_oldest(self._last_credited, _MAX_PHONES)
        if not recent:
            self._add_to_all(scope, at, sign_ins=scope.weight)

    async def save(self, at: datetime) -> None:
        """Add this process's counts to the database, and read the last hours of the countries."""
        async with self._saving:
            await self._save(at)

    async def read(self, at: datetime) -> None:
        """Read the last day of all countries and busy parts, and learn what is normal."""
        hour = int(_hours(at))
        since = hour - WINDOW_HOURS + 1
        async with self._saving:
            days: dict[str, list[Counts]] = defaultdict(list)
            for region, day in await traffic_counts.days(
                since=since - 24 * LEARNED_DAYS, before=since
            ):
                days[region].append(day)
            self._normal = {region: rules.learn(found) for region, found in days.items()}
            for segments in (self._countries, self._parts):
                _drop_before(segments, since)
            self._update(await traffic_counts.countries(since=since))
            self._update(
                await traffic_counts.parts(
                    since=since, min_sends=_MIN_SENDS_READ, limit=_PARTS_READ
                )
            )

    async def _save_with_others(self, at: datetime) -> None:
        """Wait for the next save, which all sends that wait at the same time share."""
        if self._next_save is None:
            # In an empty context: in the caller's, a transaction may be open
            self._next_save = database.spawn(self._save_for_all(at), context=Context())
        await asyncio.shield(self._next_save)

    async def _save_for_all(self, at: datetime) -> None:
        async with self._saving:
            self._next_save = None
            await self._save(at)

    async def _save(self, at: datetime) -> None:
        counted, self._unsaved = self._unsaved, {}
        try:
            rows = await traffic_counts.add(counted) if counted else []
        except BaseException:
            for (segment, hour), counts in counted.items():
                self._unsaved[segment, hour] = counts.plus(*self._unsaved_of(segment, hour))
            raise
        self._update(rows)
        self._update(await traffic_counts.countries(since=int(_hours(at)) - 1))
        countries = ((hours, self._normal_in(region)) for region, hours in self._countries.items())
        self._worldwide = rules.is_worldwide(countries, _hours(at))

    def _extrapolated(
        self, processes: int, segment: str, hours: dict[int, Counts], hour: int, *, least: int = 0
    ) -> dict[int, Counts]:
        """Return the hours of a segment as if each process had counted as much as this one.

        That is its counts since its last save, and at least `least` messages.
        """
        others = (processes - 1) * max(self._unsaved_of(segment, hour).sends, least)
        return {**hours, hour: hours.get(hour, _NONE).plus(others, 0)} if others else hours

    def _normal_in(self, region: str) -> Normal:
        return self._normal.get(region, rules.DEFAULT_NORMAL)

    def _add_to_all(
        self, scope: LimitScope, at: datetime, *, sends: int = 0, sign_ins: int = 0
    ) -> None:
        for segment in (country_of(scope.phone), *(key for _, key, _ in _parts(scope))):
            self._add(segment, int(_hours(at)), sends=sends, sign_ins=sign_ins)

    def _add(self, segment: str, hour: int, *, sends: int = 0, sign_ins: int = 0) -> None:
        hours = self._hours_to_change(segment)
        hours[hour] = hours.get(hour, _NONE).plus(sends, sign_ins)
        self._unsaved[segment, hour] = self._unsaved_of(segment, hour).plus(sends, sign_ins)

    def _unsaved_of(self, segment: str, hour: int) -> Counts:
        """Return what this process has counted since its last save."""
        return self._unsaved.get((segment, hour), _NONE)

    def _update(self, rows: Iterable[Row]) -> None:
        """Replace the counts of segments by rows of the database, plus the counts not saved yet."""
        for segment, hour, counts in rows:
            hours = self._hours_to_change(segment)
            hours[hour] = counts.plus(*self._unsaved_of(segment, hour))

    def _hours_to_change(self, segment: str) -> dict[int, Counts]:
        if len(segment) == len("RU"):  # a country
            return self._countries.setdefault(segment, {})
        hours = self._parts.setdefault(segment, {})
        self._parts.move_to_end(segment)
        _drop_oldest(self._parts, _MAX_PARTS)
        return hours


async def purge(at: datetime, *, batch_size: int) -> int:
    """Delete a batch of rows that are too old to matter; return how many were deleted."""
    since = int(_hours(at)) - WINDOW_HOURS + 1
    return await traffic_counts.purge(
        before=since - 24 * LEARNED_DAYS, parts_before=since, batch_size=batch_size
    )


def _parts(scope: LimitScope) -> list[tuple[LimitName, str, int]]:
    """Return the phone's range and the address's networks, as limits, keys and multipliers."""
    return [
        (LimitName.COST_GUARD_RANGE, _range_key(scope), 1),
        *((LimitName.COST_GUARD_ADDRESS, key, times) for key, times in _networks(scope)),
    ]


def _range_key(scope: LimitScope) -> str:
    return scope.counter_key(LimitName.COST_GUARD_RANGE, scope.phone[:-_RANGE_DIGITS])


def _networks(scope: LimitScope) -> list[tuple[str, int]]:
    """Return the keys and multipliers of the address's networks."""
    return [
        (scope.counter_key(LimitName.COST_GUARD_ADDRESS, network), times)
        for network, times in networks(scope.address)
    ]


def _hours(at: datetime) -> float:
    return at.timestamp() / 3600


def _drop_before(segments: Segments, since: int) -> None:
    for segment, hours in list(segments.items()):
        for hour in [hour for hour in hours if hour < since]:
            del hours[hour]
        if not hours:
            del segments[segment]


def _drop_oldest(entries: OrderedDict[str, Any], most: int) -> None:
    while len(entries) > most:
        entries.popitem(last=False)
