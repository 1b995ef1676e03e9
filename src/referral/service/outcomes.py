"""The only writer of what happened. Phones are masked; codes and tokens never come here."""

from __future__ import annotations

import logging
from typing import Any

import structlog

from referral.core import phone as phones
from referral.service import metrics
from referral.service.parts import Caller

_HOUR = 3_600_000_000
_MOST_REMEMBERED = 10_000

# An event stays a name and its facts until the process's own handler writes it down
_log: structlog.stdlib.BoundLogger = structlog.wrap_logger(
    logging.getLogger("referral"),
    processors=[
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
    ],
    wrapper_class=structlog.stdlib.BoundLogger,
    context_class=dict,
)
_limited_in: dict[str, int] = {}


def record(
    event: str, *, caller: Caller | None = None, phone: str | None = None, **facts: Any
) -> None:
    """One event: a verb in the past (`signed_in`) and its facts."""
    if phone is not None:
        facts["phone"] = phones.mask(phone)
    if caller is not None:
        facts["address"] = caller.address
    metrics.EVENTS.labels(event).inc()
    _log.info(event, **{name: _plain(value) for name, value in facts.items()})


def limited(limit: str, key: str, *, caller: Caller, now: int) -> None:
    """A limit that refuses somebody: told once an hour for each limit and key.

    now: microseconds. key: the counter's.
    """
    hour = now // _HOUR
    if _limited_in.get(key) != hour:
        if len(_limited_in) >= _MOST_REMEMBERED:
            _limited_in.clear()
        _limited_in[key] = hour
        metrics.LIMITED.labels(limit).inc()
        record("limited", caller=caller, limit=limit)


def refused(code: str, reason: str, *, method: str, route: str) -> None:
    """A request that the rules refused, with the exact reason that the answer does not tell."""
    metrics.REFUSALS.labels(code).inc()
    _log.info("refused", code=code, reason=reason, method=method, route=route)


def unavailable(error: Exception, *, method: str, route: str) -> None:
    """A request that the database could not serve just now."""
    metrics.FAILURES.labels("storage_unavailable").inc()
    # A database's further lines repeat values
    why = str(error).partition("\n")[0]
    _log.warning(
        "storage_unavailable", error=type(error).__name__, reason=why, method=method, route=route
    )


def failed(error: Exception, *, method: str, route: str) -> None:
    """A request that broke."""
    metrics.FAILURES.labels("internal_error").inc()
    _log.error("failed", method=method, route=route, exc_info=error)


def housekeeping_failed(error: Exception) -> None:
    """A round of housekeeping that broke; the next one comes."""
    _log.warning("housekeeping_failed", error=type(error).__name__)


def fewer_proxies(trusted: int) -> None:
    """A request that came past the trusted proxies: its peer counts as its address."""
    _log.warning(
        "fewer_proxies",
        trusted=trusted,
        hint="X-Forwarded-For has no address from so many proxies: check REFERRAL_TRUSTED_PROXIES",
    )


def kept_secrets_closed() -> None:
    """No listed secret opens the kept ones."""
    _log.error(
        "kept_secrets_closed",
        hint=(
            "no listed REFERRAL_SECRET opens the kept secrets of this database: known devices and "
            "past activations are forgotten until the earlier one is listed"
        ),
    )


def _plain(value: Any) -> Any:
    """As JSON has it."""
    return value if isinstance(value, bool | int | float | None) else str(value)
