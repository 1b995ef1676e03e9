"""What a message takes before it goes out, and what comes back.

So that nobody pumps messages with phones of their own, such a device has 3 messages a day that may
stay unused. A message counts as unused from its send until its code signs somebody in, also while
its code is still good: with the default waits the fourth message cannot come before the first three
have expired. Further ones count against the address, the cost guard and the strangers' share of the
day's sends, but still against the device's own budgets.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec.structs import replace

from referral.core.address import networks
from referral.limits import gcra
from referral.limits.gcra import DAY, HOUR, Bucket, Charge
from referral.limits.guess_policy import LimitScope, lengthening, of_address, wait
from referral.limits.policy import Limits

_STEPS = "phone-resend-steps"
_SENDS_HOUR, _SENDS_DAY = "phone-sends-hour", "phone-sends-day"
_FROM_ADDRESS = "address-sends-hour"
_WAIT, _UNUSED = "phone-resend-wait", "device-unused-messages"
_UNUSED_MESSAGES = Bucket(3, DAY)


def send(limits: Limits, scope: LimitScope, tats: Mapping[str, int], *, now: int) -> list[Charge]:
    """What a send takes, of the phone and of the address.

    tats: the counters of `send_keys` as they stand; the wait grows with the sends of the hour.
    """
    steps = _wait_steps(limits, scope)
    tat = tats.get(steps.key, 0)
    seconds = limits.resend_in(1 + gcra.used(steps.bucket, tat, now))
    if not seconds and any(limits.resend_waits):
        # Without a wait that keeps others out, refused if another call was the n-th meanwhile
        steps = replace(steps, tolerance=max(tat - now, 0) + steps.increment)
    return [
        *_wait_charge(scope, seconds, tats.get(wait_key(scope), 0), now),
        steps,
        *phone_sends(limits, scope),
        *unused_message(scope),
        *address_sends(limits, scope),
    ]


def has_first(limits: Limits) -> bool:
    """Whether `only_first` tells everything: with waits of 0 and others, an earlier wait may last
    longer than its send is counted.
    """
    return limits.resend_waits[0] > 0 or not any(limits.resend_waits)


def unconditional(charges: Iterable[Charge]) -> list[Charge]:
    """The same charges, which are never refused."""
    return [replace(each, tolerance=None) for each in charges]


def without_wait(charges: Iterable[Charge]) -> list[Charge]:
    """All but the wait, which ends as a whole."""
    return [each for each in charges if each.name != _WAIT]


def unused_message(scope: LimitScope) -> list[Charge]:
    """What a send takes of the messages that an exempt device may leave unused."""
    if not scope.is_exempt:
        return []
    return [gcra.charge(_UNUSED, scope.of_phone(_UNUSED), _UNUSED_MESSAGES)]


def at_send(scope: LimitScope, tats: Mapping[str, int], *, now: int) -> LimitScope:
    """The subject as its next message counts. tats: the counters of `send_keys`."""
    key = scope.of_phone(_UNUSED)
    left_unused = gcra.used(_UNUSED_MESSAGES, tats.get(key, 0), now)
    return replace(
        scope,
        as_stranger=scope.known_device and left_unused >= _UNUSED_MESSAGES.size,
    )


def verified(limits: Limits, scope: LimitScope, *, is_refunded: bool) -> list[Charge]:
    """What a verified challenge refunds of its send. subject: as it was at the send.

    is_refunded: whether the send was refunded to the address before, as too short.
    """
    of_address = [] if is_refunded else address_sends(limits, scope)
    return [*unused_message(scope), *of_address]


def only_first(charges: Iterable[Charge]) -> list[Charge]:
    """These charges of a send, refused too where the phone had one in the last hour."""
    return [
        replace(each, tolerance=each.increment) if each.name == _STEPS else each for each in charges
    ]


def address_sends(limits: Limits, scope: LimitScope) -> list[Charge]:
    """What a send takes of the address."""
    return of_address(_FROM_ADDRESS, limits.sends_per_address_hour, scope)


def phone_sends(limits: Limits, scope: LimitScope) -> list[Charge]:
    """What each message takes of its phone's caps."""
    return [
        gcra.charge(name, scope.of_phone(name), bucket)
        for name, bucket in (
            (_SENDS_HOUR, Bucket(limits.sends_per_phone_hour, HOUR)),
            (_SENDS_DAY, Bucket(limits.sends_per_phone_day, DAY)),
        )
    ]


def send_keys(limits: Limits, scope: LimitScope) -> list[str]:
    """The counters on which a send, its wait and its code's length depend."""
    return [
        wait_key(scope),
        *(scope.of_phone(name) for name in (_STEPS, _SENDS_HOUR, _SENDS_DAY)),
        *([scope.of_phone(_UNUSED)] if scope.known_device else ()),
        *(scope.counter(_FROM_ADDRESS, network) for network, _ in networks(scope.address)),
        *(scope.of_phone(name) for name, _ in lengthening(limits)),
    ]


def resend_in(charges: Iterable[Charge], tats: Mapping[str, int], *, now: int) -> int:
    """Seconds until the phone may get the next code, after these charges of a send were taken."""
    waits = (_WAIT, _SENDS_HOUR, _SENDS_DAY)
    return wait((each for each in charges if each.name in waits), tats, now)


def _wait_steps(limits: Limits, scope: LimitScope) -> Charge:
    """Counts the sends of an hour, as far as waits grow with them."""
    bucket = Bucket(len(limits.resend_waits), HOUR)
    return gcra.count_only(_STEPS, scope.of_phone(_STEPS), bucket)


def wait_key(scope: LimitScope) -> str:
    """The counter of the wait between sends."""
    return scope.of_phone(_WAIT)


def _wait_charge(scope: LimitScope, seconds: int, tat: int, now: int) -> list[Charge]:
    """None for a wait of 0, unless an earlier, longer one is not over."""
    if not seconds and tat <= now:
        return []
    return [gcra.charge(_WAIT, wait_key(scope), Bucket(1, seconds))]
