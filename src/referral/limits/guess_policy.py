"""Who has used how much of which limit, and what follows.

Whoever guesses codes is slowed by making codes longer, not by locking the phone: a lock would let
anybody lock anybody out. A device on which a phone signed in before has budgets of its own, with
the same numbers, which strangers cannot touch; limits by address pass it by.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from hashlib import blake2b

from msgspec import Struct
from msgspec.structs import replace

from referral.core import seal
from referral.core.address import networks
from referral.core.challenge import MAX_CODE_LENGTH
from referral.limits import gcra
from referral.limits.gcra import DAY, HOUR, MONTH, SECOND, Bucket, Charge
from referral.limits.policy import Limits

MORE_DIGITS = 2
MOST_STEPS = 2
_INVITES_OF_USER, _INVITES_OF_ADDRESS = (
    "user-invite-failures-hour",
    "address-invite-failures-hour",
)
OF_INVITES = frozenset({_INVITES_OF_USER, _INVITES_OF_ADDRESS})
OF_ADDRESS, OF_DAY = "address-failures-hour", "phone-failures-day-max"

_KEY_BYTES = 16
# A challenge's guesses do not refill while it lives, 600 seconds at most
_GUESS_SPACING = HOUR
_CLOCKS_DIFFER = 60 * SECOND


class LimitScope(Struct, frozen=True):
    """Whom counters are about: a phone, a device that it knows or not, an address.

    key: derives the counters' keys, so that their table tells nobody who was counted.
    as_stranger: the known device left too many messages unused to pass by the limits of strangers.
    """

    phone: str
    address: str
    known_device: bool
    key: bytes
    as_stranger: bool = False

    @property
    def is_exempt(self) -> bool:
        """Whether limits by address, the cost guard and the reserve pass it by."""
        return self.known_device and not self.as_stranger

    def counter(self, name: str, about: str) -> str:
        """The key of a counter: a keyed digest of the limit and of whom it is about."""
        return _counter(self.key, f"{name}|{about}")

    def of_phone(self, name: str) -> str:
        return self.counter(name, f"{self.phone}|{'known' if self.known_device else 'stranger'}")


def guess(
    limits: Limits, scope: LimitScope, *, challenge_id: str, code_length: int
) -> list[Charge]:
    """Charge a guess to the challenge, first, and to the phone.

    The two budgets after which codes get longer refuse a code that is too short by then, and only
    count for one that is long enough.
    """
    return [
        challenge(limits, scope, challenge_id),
        *(
            Charge(
                name=name,
                key=scope.of_phone(name),
                increment=bucket.increment,
                tolerance=_tolerance(bucket, code_length, limits.code_length),
                max_tat=2 * bucket.tolerance,
                bucket=bucket,
            )
            for name, bucket in lengthening(limits)
        ),
        gcra.charge(OF_DAY, scope.of_phone(OF_DAY), Bucket(limits.failures_per_phone_day_max, DAY)),
    ]


def failure_of_address(limits: Limits, scope: LimitScope) -> list[Charge]:
    """Charge a guess to the address."""
    return of_address(OF_ADDRESS, limits.failures_per_address_hour, scope)


def challenge(limits: Limits, scope: LimitScope, challenge_id: str) -> Charge:
    """A guess at one challenge. Every one of them can be had, also where clocks differ."""
    size = limits.guesses_per_challenge
    name = "challenge-guesses"
    exact = gcra.charge(
        name, scope.counter(name, challenge_id), Bucket(size, size * _GUESS_SPACING)
    )
    tolerance = exact.bucket.tolerance + _CLOCKS_DIFFER
    return replace(exact, tolerance=tolerance, max_tat=tolerance)


def guesses_left(charge: Charge, tat: int, *, now: int) -> int:
    """How many guesses a challenge has left, whose counter stands at this tat."""
    return charge.bucket.size - gcra.used(charge.bucket, tat - _CLOCKS_DIFFER, now)


def code_length(
    limits: Limits, scope: LimitScope, tats: Mapping[str, int], *, alarm: bool, now: int
) -> int:
    """Digits that a code for this phone needs now. alarm: too many failures over all."""
    more = max(
        min(
            gcra.used(bucket, tats.get(scope.of_phone(name), 0), now) // bucket.size,
            MOST_STEPS,
        )
        for name, bucket in lengthening(limits)
    )
    if alarm and not scope.known_device:
        more += 1
    return min(limits.code_length + more * MORE_DIGITS, MAX_CODE_LENGTH)


def lengthening(limits: Limits) -> list[tuple[str, Bucket]]:
    """The budgets of a phone's failures after which its codes get longer."""
    return [
        ("phone-failures-day", Bucket(limits.failures_per_phone_day, DAY)),
        ("phone-failures-month", Bucket(limits.failures_per_phone_month, MONTH)),
    ]


def invite_code_try(limits: Limits, scope: LimitScope, counted_by: str | None) -> list[Charge]:
    """Charges of one try of an invite code: to a person, by id or phone, or else to the address."""
    if counted_by is None:
        return of_address(_INVITES_OF_ADDRESS, limits.invite_failures_per_address_hour, scope)
    bucket = Bucket(limits.invite_failures_per_user_hour, HOUR)
    return [gcra.charge(_INVITES_OF_USER, scope.counter(_INVITES_OF_USER, counted_by), bucket)]


def first_exhausted(
    charges: Iterable[Charge], tats: Mapping[str, int], *, now: int
) -> Charge | None:
    """The first charge that is refused, in the order of what a caller should be told."""
    return next((each for each in charges if each.is_exhausted(tats.get(each.key, 0), now)), None)


def retry_after(charges: Iterable[Charge], tats: Mapping[str, int], *, now: int) -> int:
    """Seconds until none of them is refused, at least 1."""
    return max(wait(charges, tats, now), 1)


def wait(charges: Iterable[Charge], tats: Mapping[str, int], now: int) -> int:
    """Seconds until none of them is refused, 0 where none is."""
    full = [each for each in charges if each.is_exhausted(tats.get(each.key, 0), now)]
    return max((each.retry_after(tats[each.key], now) for each in full), default=0)


def _tolerance(bucket: Bucket, length: int, shortest: int) -> int | None:
    """How far a budget may be used by guesses at a code of this length."""
    more = (length - shortest) // MORE_DIGITS
    if length >= MAX_CODE_LENGTH or more >= MOST_STEPS:
        return None
    return bucket.tolerance * (max(more, 0) + 1)


# A send asks for most of its keys three times, and the next one for some of them again
@lru_cache(maxsize=4096)
def _counter(key: bytes, text: str) -> str:
    # BLAKE2 with a key (RFC 7693) takes a quarter of an HMAC's time, and a send has ten of these
    return seal.base64url_encode(blake2b(text.encode(), key=key, digest_size=_KEY_BYTES).digest())


def of_address(name: str, size: int, scope: LimitScope) -> list[Charge]:
    return [
        gcra.charge(name, scope.counter(name, network), Bucket(size * times, HOUR))
        for network, times in _networks(scope)
    ]


def _networks(scope: LimitScope) -> Sequence[tuple[str, int]]:
    """What the address counts as: nothing on a device that knows the phone."""
    return () if scope.is_exempt else networks(scope.address)
