"""Read REFERRAL_SMS_URL: the URL of a gateway, or of several that form a chain."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from urllib.parse import urlsplit

from referral.messaging.gateways import Gateway, registry
from referral.messaging.gateways.registry import GatewayType

DEFAULT: tuple[str, ...] = ("simulated://",)
NONE = "none"
"""Instead of a URL: no SMS are sent."""


def parse(text: str, *, production: bool) -> tuple[str, ...]:
    """Return the URLs, separated by commas, in their order.

    `none` has no URL. Raises ValueError, whose text shows only the scheme of a URL.
    """
    if text == NONE:
        return ()
    urls = tuple(_normalize(item.strip()) for item in text.split(",") if item.strip())
    if not urls:
        raise ValueError("contains no URL; use simulated:// to send no messages")
    types = [_type_of(url) for url in urls]
    for gateway_type in types:
        if len(urls) > 1 and not gateway_type.joins_chain:
            raise ValueError(f"{gateway_type.label} cannot be part of a chain")
    for url, gateway_type in zip(urls, types, strict=True):
        gateway_type.check(url, production=production)
    return urls


def build(url: str, clock: Callable[[], datetime]) -> Gateway:
    """Return the gateway of a parsed URL. clock(): the time, in UTC."""
    return _type_of(url).build(url, clock)


def scheme(url: str) -> str:
    """Return the scheme in lower case, or "" if there is none."""
    found = re.match(r"([a-z0-9+]{1,20})://", url, re.IGNORECASE)
    return found[1].lower() if found else ""


def is_simulated(urls: tuple[str, ...]) -> bool:
    return bool(urls) and scheme(urls[0]) == "simulated"


def is_real(urls: tuple[str, ...]) -> bool:
    """Return whether messages are really sent: all gateways that can join a chain do."""
    return all(_type_of(url).joins_chain for url in urls)


def describe(urls: tuple[str, ...]) -> str:
    """Describe the gateways without secrets: by scheme, and by host if that is no secret."""
    if not urls:
        return "no SMS"
    return ", then ".join(
        f"{scheme(url)} to {urlsplit(url).hostname}" if _type_of(url).shows_host else scheme(url)
        for url in urls
    )


def endpoints(urls: tuple[str, ...]) -> list[tuple[str, str | None]]:
    """Return a description of each gateway that makes connections, and the URL if it is known."""
    return [
        (describe((url,)), endpoint(url)) for url in urls if (endpoint := _type_of(url).endpoint)
    ]


def _type_of(url: str) -> GatewayType:
    """Return the gateway type of a URL. Raises ValueError, whose text shows only the scheme."""
    name = scheme(url)
    if not name:
        raise ValueError("must be a URL such as twilio://...; write a comma inside a URL as %2C")
    if found := registry.find(name):
        return found
    labels = [gateway_type.label for gateway_type in registry.TYPES]
    raise ValueError(f"{name}:// is not a gateway. Use {', '.join(labels[:-1])} or {labels[-1]}")


def _normalize(url: str) -> str:
    """Return the URL with its scheme in lower case."""
    name = scheme(url)
    return name + url[len(name) :]
