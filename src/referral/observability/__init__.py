"""Logging and counting: each function here records one kind of event.

Every event in the log goes through this module; only a process that cannot start uses `logging`
directly. Phones are masked, and no caller passes a code or a token.
"""

from __future__ import annotations

from asyncio import Task
from collections.abc import Iterable, Mapping
from math import inf
from time import monotonic
from typing import TYPE_CHECKING, Any

from referral.core import phone as phones
from referral.observability import log, metrics

if TYPE_CHECKING:
    from referral.context import Caller
    from referral.core.channels import Channel
    from referral.messaging.gateways import Failure

_HOUR = 3_600_000_000  # microseconds
_LOG_EVERY_SECONDS = 10
_MAX_REMEMBERED = 10_000
_log = log.logger
# Looked up once, because refusing a request under overload has to be cheap
_OVERLOADED = metrics.FAILURES.labels("overloaded")
_logged_at: dict[str, float] = {}
"""By event, for those that every request may cause: when it was last logged."""
_last_logged_hour: dict[str, int] = {}
"""By the key of a counter: the hour in which its limit was last logged."""


def record(
    event: str, *, caller: Caller | None = None, phone: str | None = None, **facts: Any
) -> None:
    """Count and log an event.

    event: its name, such as `signed_in`. facts: values for the log only.
    """
    if phone is not None:
        facts["phone"] = phones.mask(phone)
    if caller is not None:
        facts["address"] = caller.address
    metrics.EVENTS.labels(event).inc()
    _log.info(event, **{name: _plain(value) for name, value in facts.items()})


def rate_limited(limit: str, key: str, *, caller: Caller, now: int) -> None:
    """Record that a limit has refused a request, at most once an hour for each counter.

    key: the counter's key. now: microseconds.
    """
    if _is_first_in_hour(key, now):
        metrics.LIMIT_REFUSALS.labels(limit).inc()
        record("rate_limited", caller=caller, limit=limit)


def gateway_attempted(gateway: str, phone: str, failure: Failure | None, reason: str) -> None:
    """Record an attempt to send a message through a gateway.

    gateway: its URL scheme. failure: None if the gateway accepted the message. reason: why it
    failed, without the phone or the text.
    """
    metrics.GATEWAY_MESSAGES.labels(gateway, failure.value if failure else "taken").inc()
    if failure:
        record("gateway_failed", phone=phone, gateway=gateway, failure=failure.value, reason=reason)


def message_sent(channel: Channel, *, country: str) -> None:
    """Count a message with a code that a gateway has accepted. country: ISO 3166-1."""
    metrics.CODE_MESSAGES.labels(channel, country, "sent").inc()
    # Created with 0: an alert divides it by those sent
    metrics.CODE_MESSAGES.labels(channel, country, "used")


def message_delivered(channel: Channel, *, country: str) -> None:
    """Count a message that its provider reports as delivered."""
    metrics.CODE_MESSAGES.labels(channel, country, "delivered").inc()


def message_used(channel: Channel, *, country: str, seconds: float) -> None:
    """Count a message whose code was entered. seconds: since it was sent."""
    metrics.CODE_MESSAGES.labels(channel, country, "used").inc()
    metrics.CODE_SECONDS.labels(channel).observe(seconds)


def message_blocked(
    reason: str, key: str, *, country: str, phone: str, caller: Caller, now: int, refused: bool
) -> bool:
    """Record a message that the cost guard considers SMS pumping, once an hour for each counter.

    reason: the name of the limit. key: the key of the counter, of a country or an address. now:
    microseconds. refused: False if the guard only warns.
    Return whether this was the first in the hour.
    """
    is_first = _is_first_in_hour(key, now)
    if is_first:
        metrics.LIMIT_REFUSALS.labels(reason).inc()
        record(
            "message_blocked",
            caller=caller,
            phone=phone,
            reason=reason,
            country=country,
            refused=refused,
        )
    return is_first


def request_refused(code: str, reason: str, *, method: str, route: str) -> None:
    """Record a refused request. reason: the exact cause, which the response does not reveal."""
    metrics.REFUSALS.labels(code).inc()
    _log.info("request_refused", code=code, reason=reason, method=method, route=route)


def storage_unavailable(error: Exception, *, method: str, route: str) -> None:
    """Record a request that failed because the database was unavailable."""
    metrics.FAILURES.labels("storage_unavailable").inc()
    # After its first line, a database's message repeats values of the statement
    reason = str(error).partition("\n")[0]
    _log.warning(
        "storage_unavailable", error=type(error).__name__, reason=reason, method=method, route=route
    )


def overloaded(*, now: float) -> None:
    """Count a request beyond the process's capacity; log the first in 10 seconds.

    now: seconds, of any monotonic clock.
    """
    _OVERLOADED.inc()
    _warn_sometimes(
        "overloaded",
        now=now,
        hint="more requests arrive than can be served: see `Sizes` in docs/deploy.md",
    )


def request_failed(error: Exception, *, method: str, route: str) -> None:
    """Record a request that ended with an unexpected exception."""
    metrics.FAILURES.labels("internal_error").inc()
    _log.error("request_failed", method=method, route=route, exc_info=error)


def task_ended(task: Task[Any]) -> None:
    """Record the failure of a task for which nobody waits any more, if it has failed."""
    if not task.cancelled() and (error := task.exception()) is not None:
        metrics.FAILURES.labels("internal_error").inc()
        _log.error("task_failed", error=type(error).__name__)


def housekeeping_failed(error: Exception) -> None:
    """Record a failed round of housekeeping. It is tried again at the next interval."""
    _log.warning("housekeeping_failed", error=type(error).__name__)


def purged(numbers: Mapping[str, int]) -> None:
    """Log how many rows housekeeping has deleted or cleared, by kind."""
    _log.info("purged", **numbers)


def events_delivered(number: int) -> None:
    """Count events that the webhook endpoint has acknowledged."""
    metrics.DELIVERIES.labels("acknowledged").inc(number)


def delivery_failed(event: str, reason: str, *, given_up: bool) -> None:
    """Record a delivery attempt that was not acknowledged.

    event: the id of the event. given_up: there is no further attempt.
    """
    metrics.DELIVERIES.labels("given up" if given_up else "failed").inc()
    _log.warning("delivery_failed", id=event, reason=reason, given_up=given_up)


def deliveries_given_up(number: int) -> None:
    """Record events given up because the webhook endpoint has been failing for too long."""
    metrics.DELIVERIES.labels("given up").inc(number)
    _log.error(
        "deliveries_given_up",
        number=number,
        hint="once the endpoint works again, `referral webhooks replay` sends them again",
    )


def endpoint_failing(reason: str) -> None:
    """Log that the webhook endpoint fails and deliveries pause."""
    _log.warning(
        "webhook_endpoint_failing", reason=reason, hint="`referral webhooks status` says more"
    )


def endpoint_gone() -> None:
    """Log that the webhook endpoint responded with 410 (Gone), which stops all deliveries."""
    _log.error(
        "webhook_endpoint_gone", hint="`referral webhooks resume` sends the events that wait"
    )


def endpoint_recovered() -> None:
    """Log that deliveries to the webhook endpoint succeed again."""
    _log.info("webhook_endpoint_recovered")


def dispatch_failed(error: BaseException) -> None:
    """Record a failed round of the webhook dispatcher. The next round tries again."""
    _log.warning("dispatch_failed", error=type(error).__name__)


def too_few_proxies(trusted: int) -> None:
    """Log that requests do not pass every trusted proxy: their address is their connection's."""
    _warn_sometimes(
        "too_few_proxies",
        now=monotonic(),
        trusted=trusted,
        hint="X-Forwarded-For has fewer addresses than REFERRAL_TRUSTED_PROXIES: check both",
    )


def data_keys_unreadable() -> None:
    """Log that no listed secret decrypts the data keys in the database."""
    _log.error(
        "data_keys_unreadable",
        hint=(
            "no listed REFERRAL_SECRET decrypts the data keys of this database: known devices and "
            "past activations are forgotten until the earlier secret is listed again"
        ),
    )


def _is_first_in_hour(key: str, now: int) -> bool:
    hour = now // _HOUR
    if _last_logged_hour.get(key) == hour:
        return False
    if len(_last_logged_hour) >= _MAX_REMEMBERED:
        _last_logged_hour.clear()
    _last_logged_hour[key] = hour
    return True


def locale_warnings(lines: Iterable[str]) -> None:
    """Log what is wrong with the team's own texts, at the start."""
    for line in lines:
        _log.warning("locale_text", problem=line)


def _plain(value: Any) -> Any:
    """Return a value that JSON can hold; other types become text."""
    return value if isinstance(value, bool | int | float | None) else str(value)


def _warn_sometimes(event: str, *, now: float, **facts: object) -> None:
    """Log a warning unless it was logged in the last 10 seconds. now: of a monotonic clock."""
    if now - _logged_at.get(event, -inf) >= _LOG_EVERY_SECONDS:
        _logged_at[event] = now
        _log.warning(event, **facts)
