"""The log and the metrics: every line and every count is written here.

Phones are masked; codes and tokens never come here.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import inf
from typing import TYPE_CHECKING, Any

from referral.core import phone as phones
from referral.observability import log, metrics

if TYPE_CHECKING:
    from referral.context import Caller
    from referral.messaging.gateways import Failure

_HOUR = 3_600_000_000
_OVERLOADED_EVERY = 10  # seconds
_MOST_REMEMBERED = 10_000
_log = log.logger
# Looked up once, since refusing has to cost little
_OVERLOADED = metrics.FAILURES.labels("overloaded")
_overloaded_at = -inf
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
    if _is_first_in_hour(key, now):
        metrics.LIMITED.labels(limit).inc()
        record("limited", caller=caller, limit=limit)


def gateway_tried(gateway: str, phone: str, failure: Failure | None, reason: str) -> None:
    """A gateway, by its scheme, that was given a message. reason: no phone, no text."""
    metrics.MESSAGES.labels(gateway, failure.value if failure else "taken").inc()
    if failure:
        record("gateway_failed", phone=phone, gateway=gateway, failure=failure.value, reason=reason)


def message_blocked(
    reason: str, key: str, *, country: str, phone: str, caller: Caller, now: int, refused: bool
) -> bool:
    """Record a message that the cost guard takes for SMS pumping, once an hour for each limit and
    key; return whether this was the first.

    reason: the limit's name. key: the country's or the address's. now: microseconds.
    refused: False if the guard only warns.
    """
    is_first = _is_first_in_hour(key, now)
    if is_first:
        metrics.LIMITED.labels(reason).inc()
        record(
            "message_blocked",
            caller=caller,
            phone=phone,
            reason=reason,
            country=country,
            refused=refused,
        )
    return is_first


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


def overloaded(*, now: float) -> None:
    """A request beyond what the process can work on; the log is told every few seconds.

    now: seconds, of any clock.
    """
    global _overloaded_at  # noqa: PLW0603 - of the process, as its log
    _OVERLOADED.inc()
    if now - _overloaded_at >= _OVERLOADED_EVERY:
        _overloaded_at = now
        _log.warning("overloaded", hint="more come than are served: see `Sizes` in docs/deploy.md")


def failed(error: Exception, *, method: str, route: str) -> None:
    """A request that broke."""
    metrics.FAILURES.labels("internal_error").inc()
    _log.error("failed", method=method, route=route, exc_info=error)


def housekeeping_failed(error: Exception) -> None:
    """A round of housekeeping that broke; the next one comes."""
    _log.warning("housekeeping_failed", error=type(error).__name__)


def purged(numbers: Mapping[str, int]) -> None:
    """What housekeeping deleted or emptied: how many of what."""
    _log.info("purged", **numbers)


def delivered(number: int) -> None:
    """Events that the team's receiver has acknowledged."""
    metrics.DELIVERIES.labels("acknowledged").inc(number)


def delivery_failed(event: str, reason: str, *, given_up: bool) -> None:
    """A try of an event, by its id, that was not acknowledged. given_up: it was the last one."""
    metrics.DELIVERIES.labels("given up" if given_up else "failed").inc()
    _log.warning("delivery_failed", id=event, reason=reason, given_up=given_up)


def deliveries_given_up(number: int) -> None:
    """Events that waited for a receiver that was away for too long."""
    metrics.DELIVERIES.labels("given up").inc(number)
    _log.error(
        "deliveries_given_up",
        number=number,
        hint="once the receiver is back, `referral webhooks replay` tells them again",
    )


def receiver_away(reason: str) -> None:
    """The team's receiver takes no events."""
    _log.warning("receiver_away", reason=reason, hint="`referral webhooks status` says more")


def receiver_gone() -> None:
    """The team's receiver answered 410: nothing more is sent."""
    _log.error("receiver_gone", hint="`referral webhooks resume` sends what waits")


def receiver_back() -> None:
    _log.info("receiver_back")


def deliveries_stalled(error: BaseException) -> None:
    """A round of deliveries that broke; the next one comes."""
    _log.warning("deliveries_stalled", error=type(error).__name__)


def too_few_proxies(trusted: int) -> None:
    """A request that came past the trusted proxies: its peer counts as its address."""
    _log.warning(
        "too_few_proxies",
        trusted=trusted,
        hint="X-Forwarded-For has no address from so many proxies: check REFERRAL_TRUSTED_PROXIES",
    )


def data_keys_unreadable() -> None:
    """No listed secret opens the kept ones."""
    _log.error(
        "data_keys_unreadable",
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
