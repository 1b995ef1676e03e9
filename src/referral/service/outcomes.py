"""The only writer of what happened. Phones are masked; codes and tokens never come here."""

from __future__ import annotations

import logging

from referral.core import phone as phones
from referral.service.parts import Caller

_HOUR = 3_600_000_000
_MOST_REMEMBERED = 10_000

_log = logging.getLogger("referral")
_limited_in: dict[str, int] = {}


def record(
    event: str, *, caller: Caller | None = None, phone: str | None = None, **facts: object
) -> None:
    """One event: a verb in the past (`signed_in`) and its facts."""
    if phone is not None:
        facts["phone"] = phones.mask(phone)
    if caller is not None:
        facts["address"] = caller.address
    _log.info("%s %s", event, " ".join(f"{name}={value}" for name, value in facts.items()))


def limited(limit: str, key: str, *, caller: Caller, now: int) -> None:
    """A limit that refuses somebody: told once an hour for each limit and key.

    now: microseconds. key: the counter's.
    """
    hour = now // _HOUR
    if _limited_in.get(key) != hour:
        if len(_limited_in) >= _MOST_REMEMBERED:
            _limited_in.clear()
        _limited_in[key] = hour
        record("limited", caller=caller, limit=limit)


def refused(code: str, reason: str, *, method: str, route: str) -> None:
    """A request that the rules refused, with the exact reason that the answer does not tell."""
    _log.info("refused code=%s reason=%r method=%s route=%s", code, reason, method, route)


def failed(error: Exception, *, method: str, route: str) -> None:
    """A request that broke."""
    _log.error("failed method=%s route=%s", method, route, exc_info=error)


def fewer_proxies(trusted: int) -> None:
    """A request that came past the trusted proxies: its peer counts as its address."""
    _log.warning(
        "fewer_proxies X-Forwarded-For has no address from %d proxies; "
        "check REFERRAL_TRUSTED_PROXIES",
        trusted,
    )
