"""The types of gateways that REFERRAL_SMS_URL can name.

To add one, write its file in this folder and its entry here. The files are imported at every start,
so they import their client libraries only when a gateway is used.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from referral.messaging.gateways import Gateway, console, hook, simulated, sms


class Check(Protocol):
    def __call__(self, url: str, *, production: bool) -> None:
        """Raise ValueError if the URL cannot be used.

        The text shows only the scheme of the URL, because the rest may have credentials.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayType:
    """A kind of gateway, selected by the scheme of a URL."""

    label: str
    """Its name in error messages."""
    schemes: Collection[str]
    check: Check
    build: Callable[[str, Callable[[], datetime]], Gateway]
    """build(url, clock). clock(): the time, in UTC."""
    joins_chain: bool = True
    """Whether it can be one of several gateways."""
    endpoint: Callable[[str], str | None] | None = None
    """endpoint(url): the URL that it connects to, if known, for `referral doctor` to check.

    None for a gateway that connects nowhere.
    """
    shows_host: bool = False
    """Whether the host of its URL may be shown. In an Apprise URL it may be a credential."""


TYPES = (
    GatewayType(
        label="simulated://",
        schemes=simulated.SCHEMES,
        check=simulated.check,
        build=lambda url, _clock: simulated.build(url),
        joins_chain=False,
    ),
    GatewayType(
        label="console://",
        schemes=console.SCHEMES,
        check=console.check,
        build=lambda _url, _clock: console.Console(),
        joins_chain=False,
    ),
    GatewayType(
        label="hook+https://",
        schemes=hook.SCHEMES,
        check=hook.check,
        build=lambda url, clock: hook.Hook(hook.parse(url), clock=clock),
        endpoint=lambda url: hook.parse(url).url,
        shows_host=True,
    ),
    GatewayType(
        label="the SMS services of Apprise, such as twilio:// and vonage://",
        schemes=sms.SCHEMES,
        check=sms.check,
        build=lambda url, _clock: sms.SmsService(url),
        endpoint=sms.endpoint,
    ),
)

_BY_SCHEME = {scheme: each for each in TYPES for scheme in each.schemes}


def find(scheme: str) -> GatewayType | None:
    """Return the gateway type of a scheme in lower case."""
    return _BY_SCHEME.get(scheme)
