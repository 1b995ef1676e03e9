"""Rules for charges and refunds of messages with a code.

A known device may leave 3 messages a day unused before limits for strangers apply to it. Otherwise
an attacker could pump messages (limits/pumping/rules.py) with phones of their own. A message counts
as unused from its send until its code is verified, also while the code is still valid: with the
default waits the fourth message cannot come before the first three have expired. Further messages
are charged as a stranger's to the address, the cost guard and the day's sends without the reserve,
but still to the known device's own counters of the phone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec.structs import replace

from referral.core.address import networks
from referral.limits import gcra
from referral.limits.gcra import DAY, HOUR, Bucket, Charge
from referral.limits.guess_policy import lengthening_budgets
from referral.limits.policy import LimitName, Limits
from referral.limits.scope import LimitScope

_UNUSED_MESSAGES = Bucket(3, DAY)
_RECENT_CODE = Bucket(1, HOUR)
# A refund of these would undo an earlier message too
CLEARED_INSTEAD = frozenset({LimitName.PHONE_RESEND_WAIT, LimitName.PHONE_RECENT_CODE})
_NEXT_SEND_LIMITS = frozenset(
    {LimitName.PHONE_RESEND_WAIT, LimitName.PHONE_SENDS_HOUR, LimitName.PHONE_SENDS_DAY}
)


def charges(
    limits: Limits, scope: LimitScope, tats: Mapping[str, int], *, now: int
) -> list[Charge]:
    """Build the charges of a send to the phone and to the address.

    tats: those of `keys`, on which the wait depends: it grows with the sends of the last hour.
    """
    steps = _steps_charge(limits, scope)
    tat = tats.get(steps.key, 0)
    seconds = limits.resend_in(1 + gcra.used(steps.bucket, tat, now))
    if not seconds and any(limits.resend_waits):
        # No wait refuses a concurrent send here, so refuse if one was charged after the read
        steps = replace(steps, tolerance=max(tat - now, 0) + steps.increment)
    return [
        *_wait_charges(scope, seconds, tats.get(wait_key(scope), 0), now),
        steps,
        *phone_charges(limits, scope),
        *unused_message_charges(scope),
        *address_charges(limits, scope),
    ]


def phone_charges(limits: Limits, scope: LimitScope) -> list[Charge]:
    """Build the charges of a message to its phone's limits by hour and day."""
    return [
        scope.phone_charge(LimitName.PHONE_SENDS_HOUR, Bucket(limits.sends_per_phone_hour, HOUR)),
        scope.phone_charge(LimitName.PHONE_SENDS_DAY, Bucket(limits.sends_per_phone_day, DAY)),
    ]


def address_charges(limits: Limits, scope: LimitScope) -> list[Charge]:
    """Build the charges of a send to the address."""
    return scope.address_charges(LimitName.ADDRESS_SENDS_HOUR, limits.sends_per_address_hour)


def recent_code_key(scope: LimitScope) -> str:
    """Return the key of the counter that says until when a phone may be called."""
    return scope.phone_key(LimitName.PHONE_RECENT_CODE)


def recent_code_charge(key: str) -> Charge:
    """Build the charge after which the phone may be called for an hour."""
    return gcra.new_charge(LimitName.PHONE_RECENT_CODE, key, _RECENT_CODE).unconditional()


def unused_message_charges(scope: LimitScope) -> list[Charge]:
    """Build the charge to the messages that an exempt device may leave unused, none for others."""
    if not scope.is_exempt:
        return []
    return [scope.phone_charge(LimitName.DEVICE_UNUSED_MESSAGES, _UNUSED_MESSAGES)]


def keys(limits: Limits, scope: LimitScope) -> list[str]:
    """Return the keys of the counters on which a send, its wait and its code's length depend."""
    of_phone = [
        LimitName.PHONE_RESEND_WAIT,
        LimitName.PHONE_RESEND_STEPS,
        LimitName.PHONE_SENDS_HOUR,
        LimitName.PHONE_SENDS_DAY,
        *([LimitName.DEVICE_UNUSED_MESSAGES] if scope.known_device else ()),
        *(name for name, _ in lengthening_budgets(limits)),
    ]
    return [
        *(scope.phone_key(name) for name in of_phone),
        # Also for an exempt device, which may turn out to be treated as a stranger
        *(
            scope.counter_key(LimitName.ADDRESS_SENDS_HOUR, network)
            for network, _ in networks(scope.address)
        ),
    ]


def wait_key(scope: LimitScope) -> str:
    """Return the key of the counter of the wait between sends."""
    return scope.phone_key(LimitName.PHONE_RESEND_WAIT)


def scope_at_send(scope: LimitScope, tats: Mapping[str, int], *, now: int) -> LimitScope:
    """Return the scope with `as_stranger` set for the next send. tats: those of `keys`."""
    tat = tats.get(scope.phone_key(LimitName.DEVICE_UNUSED_MESSAGES), 0)
    unused = gcra.used(_UNUSED_MESSAGES, tat, now)
    return replace(scope, as_stranger=scope.known_device and unused >= _UNUSED_MESSAGES.size)


def can_assume_first(limits: Limits) -> bool:
    """Return whether a send that passes `first_of_hour` cannot fall into an earlier send's wait.

    It can if the first wait is 0 and others are longer: a first send is then charged without a
    wait, and an earlier wait may outlast the time for which its send is counted.
    """
    return limits.resend_waits[0] > 0 or not any(limits.resend_waits)


def first_of_hour(charges: Iterable[Charge]) -> list[Charge]:
    """Return these charges, to be refused also if the phone had another send in the last hour."""
    return [
        replace(each, tolerance=each.increment)
        if each.name == LimitName.PHONE_RESEND_STEPS
        else each
        for each in charges
    ]


def refunds_once_verified(
    limits: Limits, scope: LimitScope, *, address_refunded: bool
) -> list[Charge]:
    """Return the charges of a send that its verified challenge refunds. scope: as at the send.

    address_refunded: whether the code was found too short, which refunded the send to the address.
    """
    of_address = [] if address_refunded else address_charges(limits, scope)
    return [*unused_message_charges(scope), *of_address]


def resend_in(charges: Iterable[Charge], tats: Mapping[str, int], *, now: int) -> int:
    """Return the seconds until the phone may get the next code. tats: after these charges."""
    return gcra.wait([each for each in charges if each.name in _NEXT_SEND_LIMITS], tats, now=now)


def _steps_charge(limits: Limits, scope: LimitScope) -> Charge:
    """Build the charge that counts the sends of the last hour, with which the wait grows."""
    bucket = Bucket(len(limits.resend_waits), HOUR)
    return scope.phone_charge(LimitName.PHONE_RESEND_STEPS, bucket).unconditional()


def _wait_charges(scope: LimitScope, seconds: int, tat: int, now: int) -> list[Charge]:
    """Build the charge of the wait. A wait of 0 has none, unless an earlier wait is not over."""
    if not seconds and tat <= now:
        return []
    return [scope.phone_charge(LimitName.PHONE_RESEND_WAIT, Bucket(1, seconds))]
