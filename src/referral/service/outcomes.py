"""The only writer of what happened. Phones are masked; codes and tokens never come here."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID

import structlog

from referral.core import ids
from referral.core import phone as phones
from referral.service import metrics
from referral.service.parts import Actor, Caller, Parts
from referral.storage import audit, database
from referral.storage.models import AuditEntry

_HOUR = 3_600_000_000
_MOST_REMEMBERED = 10_000
_INSTANT = timedelta(microseconds=1)

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


async def trail(
    parts: Parts, *actions: str, by: Actor, user: UUID | None = None, **facts: Any
) -> None:
    """What somebody did, in its order, for the audit trail and the log: verbs in the past.

    To be called inside the transaction that does it: the trail has what was done, all of it and
    nothing else, and the log is told of it afterwards. user: whom it was done to. facts: for the
    log alone.
    """
    now = parts.clock()
    await audit.add(
        AuditEntry(
            id=ids.new(parts.token_bytes),
            # They are read in the order of their times
            at=now + place * _INSTANT,
            action=action,
            actor=by.name,
            user_id=user,
            address=by.address,
        )
        for place, action in enumerate(actions)
    )
    for action in actions:
        told = partial(record, action, by=by.name, address=by.address, user=user, **facts)
        database.after_commit(told)


def limited(limit: str, key: str, *, caller: Caller, now: int) -> None:
    """A limit that refuses somebody: told once an hour for each limit and key.

    now: microseconds. key: the counter's.
    """
    if _is_first_in_hour(key, now):
        metrics.LIMITED.labels(limit).inc()
        record("limited", caller=caller, limit=limit)


def gateway_failed(gateway: str, phone: str, reason: str) -> None:
    """A gateway, by its scheme, that did not take a message. reason: no phone, no text."""
    record("gateway_failed", phone=phone, gateway=gateway, reason=reason)


def sign_in_blocked(
    reason: str,
    key: str,
    *,
    country: str,
    phone: str,
    caller: Caller,
    now: int,
    refused: bool,
) -> None:
    """A message that the cost guard holds for pumped: told once an hour for each limit and key.

    reason: the limit's name. key: the country's or the address's. now: microseconds.
    refused: False where the guard only warns.
    """
    if _is_first_in_hour(key, now):
        record(
            "sign_in_blocked",
            caller=caller,
            phone=phone,
            reason=reason,
            country=country,
            refused=refused,
        )


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


def cleared_away(numbers: Mapping[str, int]) -> None:
    """What housekeeping deleted or emptied: how many of what."""
    _log.info("cleared_away", **numbers)


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


def _is_first_in_hour(key: str, now: int) -> bool:
    hour = now // _HOUR
    if _limited_in.get(key) == hour:
        return False
    if len(_limited_in) >= _MOST_REMEMBERED:
        _limited_in.clear()
    _limited_in[key] = hour
    return True


def _plain(value: Any) -> Any:
    """As JSON has it."""
    return value if isinstance(value, bool | int | float | None) else str(value)
