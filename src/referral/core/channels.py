"""Channels: the ways by which a code reaches a phone, and the order in which they are tried."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Channel(StrEnum):
    """A way to reach a phone. The values appear in the API, in settings and as labels of metrics.

    In the order in which they are tried if no setting says otherwise.
    """

    SMS = "sms"
    TELEGRAM = "telegram"
    WHATSAPP = "whatsapp"
    VOICE = "voice"
    """A call, which reads the code aloud. Only on request, never as the first try or a fallback."""


DEFAULT_WEIGHTS: Mapping[Channel, int] = {
    Channel.SMS: 1,
    Channel.VOICE: 5,
    Channel.TELEGRAM: 1,
    Channel.WHATSAPP: 1,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelRules:
    """The channels in use, and what the operator set about them.

    available: those with a gateway. order, order_of: which are tried first, everywhere and by
    region (ISO 3166-1); the other available ones follow. weights: what a message counts for in the
    cost guard and in the day's sends overall.
    """

    available: frozenset[Channel]
    order: tuple[Channel, ...] = (Channel.SMS,)
    order_of: Mapping[str, tuple[Channel, ...]] = field(default_factory=dict)
    weights: Mapping[Channel, int] = field(default_factory=lambda: DEFAULT_WEIGHTS)

    def in_order(self, region: str) -> tuple[Channel, ...]:
        """Return all available channels of a region, the one that is tried first at the front."""
        wanted = self.order_of.get(region) or self.order
        return _available((*wanted, *Channel), self.available)

    def plan(self, region: str, wanted: Channel | None = None) -> tuple[Channel, ...]:
        """Return the channels of one send, in order: the first try and its fallbacks.

        wanted: the one that the person asked for, if any, which must be available.
        """
        fallbacks = [each for each in self.in_order(region) if each is not Channel.VOICE]
        return tuple(dict.fromkeys((wanted or fallbacks[0], *fallbacks)))

    def others(self, region: str, first: Channel) -> tuple[Channel, ...]:
        """Return the channels that a person can ask for instead of this one."""
        return tuple(each for each in self.in_order(region) if each is not first)


def _available(wanted: Iterable[Channel], available: frozenset[Channel]) -> tuple[Channel, ...]:
    return tuple(dict.fromkeys(each for each in wanted if each in available))
