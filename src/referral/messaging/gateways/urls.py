"""The URLs of gateways, as the setting has them."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from referral.messaging.gateways import hook_endpoint, sms

DEFAULT: tuple[str, ...] = ("simulated://",)

_SIMULATED = ("simulated://", "simulated://?delay=0")
_CONSOLE = ("console://",)
_ALONE = ("simulated", "console")


def parse(text: str, *, production: bool) -> tuple[str, ...]:
    """The URL, or several of a chain, in their order.

    Raises ValueError, whose text repeats nothing of a URL but its scheme.
    """
    urls = tuple(_canonical(item.strip()) for item in text.split(",") if item.strip())
    if not urls:
        raise ValueError("there is none in it")
    if len(urls) > 1 and any(scheme(url) in _ALONE for url in urls):
        raise ValueError("simulated:// and console:// stand alone")
    for url in urls:
        _check(scheme(url), url, production=production)
    return urls


def scheme(url: str) -> str:
    """The scheme in lower case, or nothing where there is none."""
    found = re.match(r"([a-z0-9+]{1,20})://", url, re.IGNORECASE)
    return found[1].lower() if found else ""


def is_simulated(urls: tuple[str, ...]) -> bool:
    return scheme(urls[0]) == "simulated"


def describe(urls: tuple[str, ...]) -> str:
    """What may be shown of them: the services, and the hosts of the team's own."""
    return ", then ".join(
        f"{scheme(url)} to {urlsplit(url).hostname}"
        if scheme(url) in hook_endpoint.SCHEMES
        else scheme(url)
        for url in urls
    )


def endpoints(urls: tuple[str, ...], *, production: bool) -> list[tuple[str, str | None]]:
    """Where messages are handed over: what may be shown of each gateway, and its URL, if known."""
    found: list[tuple[str, str | None]] = []
    for url in urls:
        if scheme(url) in hook_endpoint.SCHEMES:
            found.append((describe((url,)), hook_endpoint.parse(url, production=production).url))
        elif scheme(url) in sms.SCHEMES:
            found.append((scheme(url), sms.endpoint(url)))
    return found


def _canonical(url: str) -> str:
    """With its scheme in lower case."""
    name = scheme(url)
    return name + url[len(name) :]


def _check(name: str, url: str, *, production: bool) -> None:
    if name == "simulated":
        if url not in _SIMULATED:
            raise ValueError("simulated:// or simulated://?delay=0")
    elif name == "console":
        if url not in _CONSOLE:
            raise ValueError("console:// and no more")
        if production:
            raise ValueError("console:// is for development alone")
    elif name in hook_endpoint.SCHEMES:
        hook_endpoint.parse(url, production=production)
    elif name in sms.SCHEMES:
        sms.check(url)
    elif not name:
        raise ValueError("a URL such as twilio://...; write a comma inside of one as %2C")
    else:
        raise ValueError(
            f"{name}:// sends no SMS; simulated://, console://, hook+https:// and the SMS "
            "services of Apprise do, such as twilio:// and vonage://"
        )
