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

from referral.core import buckets, seal
from referral.core.address import networks
from referral.core.buckets import DAY, HOUR, MONTH, SECOND, Bucket, Charge
from referral.core.challenge import LONGEST_CODE
from referral.core.limits import Limits

MORE_DIGITS = 2
MOST_STEPS = 2
_INVITES_OF_USER, _INVITES_OF_ADDRESS = (
    "user-invite-failures-hour",
    "address-invite-failures-hour",
)
OF_INVITES = frozenset({_INVITES_OF_USER, _INVITES_OF_ADDRESS})
OF_ADDRESS, OF_DAY = "address-failures-hour", "phone-failures-day-max"

_STEPS = "phone-resend-steps"
_SENDS_HOUR, _SENDS_DAY = "phone-sends-hour", "phone-sends-day"
_FROM_ADDRESS = "address-sends-hour"
_KEY_BYTES = 16
# A challenge's guesses do not refill while it lives, 600 seconds at most
_GUESS_SPACING = HOUR
_CLOCKS_DIFFER = 60 * SECOND


class Subject(Struct, frozen=True):
    """Whom counters are about: a phone, a device that it knows or not, an address.

    key: derives the counters' keys, so that their table tells nobody who was counted.
    """

    phone: str
    address: str
    known_device: bool
    key: bytes

    def counter(self, name: str, about: str) -> str:
        """The key of a counter: a keyed digest of the limit and of whom it is about."""
        return _counter(self.key, f"{name}|{about}")

    def of_phone(self, name: str) -> str:
        return self.counter(name, f"{self.phone}|{'known' if self.known_device else 'stranger'}")


def guess(limits: Limits, subject: Subject, *, challenge_id: str, code_length: int) -> list[Charge]:
    """What a guess takes before it is compared: of the challenge, the phone and the address.

    The two budgets after which codes get longer refuse a code that is too short by then, and only
    count for one that is long enough.
    """
    return [
        challenge(limits, subject, challenge_id),
        *(
            Charge(
                name=name,
                key=subject.of_phone(name),
                token=bucket.token,
                room=_room(bucket, code_length, limits.code_length),
                cap=2 * bucket.room,
                bucket=bucket,
            )
            for name, bucket in lengthening(limits)
        ),
        buckets.charge(
            OF_DAY, subject.of_phone(OF_DAY), Bucket(limits.failures_per_phone_day_max, DAY)
        ),
        *_of_address(OF_ADDRESS, limits.failures_per_address_hour, subject),
    ]


def challenge(limits: Limits, subject: Subject, challenge_id: str) -> Charge:
    """A guess at one challenge. Every one of them can be had, also where clocks differ."""
    size = limits.guesses_per_challenge
    name = "challenge-guesses"
    exact = buckets.charge(
        name, subject.counter(name, challenge_id), Bucket(size, size * _GUESS_SPACING)
    )
    room = exact.bucket.room + _CLOCKS_DIFFER
    return replace(exact, room=room, cap=room)


def guesses_left(charge: Charge, moment: int, *, now: int) -> int:
    """How many guesses a challenge has left, whose counter stands at this moment."""
    return charge.bucket.size - buckets.taken(charge.bucket, moment - _CLOCKS_DIFFER, now)


def send(limits: Limits, subject: Subject, moments: Mapping[str, int], *, now: int) -> list[Charge]:
    """What a send takes, of the phone and of the address.

    moments: the counters of `send_keys` as they stand; the wait grows with the sends of the hour.
    """
    steps = _wait_steps(limits, subject)
    wait = limits.resend_in(1 + buckets.taken(steps.bucket, moments.get(steps.key, 0), now))
    return [
        *(
            [buckets.charge("phone-resend-wait", wait_key(subject), Bucket(1, wait))]
            if wait
            else ()
        ),
        *phone_sends(limits, subject),
        *address_sends(limits, subject),
    ]


def only_first(charges: Iterable[Charge]) -> list[Charge]:
    """These charges of a send, refused too where the phone had one in the last hour."""
    return [replace(each, room=each.token) if each.name == _STEPS else each for each in charges]


def address_sends(limits: Limits, subject: Subject) -> list[Charge]:
    """What a send takes of the address, and a verified challenge gives back."""
    return _of_address(_FROM_ADDRESS, limits.sends_per_address_hour, subject)


def phone_sends(limits: Limits, subject: Subject) -> list[Charge]:
    """What a send takes of the phone, but for the wait itself."""
    return [
        _wait_steps(limits, subject),
        *(
            buckets.charge(name, subject.of_phone(name), bucket)
            for name, bucket in (
                (_SENDS_HOUR, Bucket(limits.sends_per_phone_hour, HOUR)),
                (_SENDS_DAY, Bucket(limits.sends_per_phone_day, DAY)),
            )
        ),
    ]


def send_keys(limits: Limits, subject: Subject) -> list[str]:
    """The counters on which a send, its wait and its code's length depend."""
    return [
        wait_key(subject),
        *(subject.of_phone(name) for name in (_STEPS, _SENDS_HOUR, _SENDS_DAY)),
        *(subject.counter(_FROM_ADDRESS, network) for network, _ in _networks(subject)),
        *(subject.of_phone(name) for name, _ in lengthening(limits)),
    ]


def resend_in(charges: Iterable[Charge], moments: Mapping[str, int], *, now: int) -> int:
    """Seconds until the phone may get the next code, after these charges of a send were taken."""
    return _wait((each for each in charges if each.name.startswith("phone")), moments, now)


def code_length(
    limits: Limits, subject: Subject, moments: Mapping[str, int], *, alarm: bool, now: int
) -> int:
    """Digits that a code for this phone needs now. alarm: too many failures over all."""
    more = max(
        min(
            buckets.taken(bucket, moments.get(subject.of_phone(name), 0), now) // bucket.size,
            MOST_STEPS,
        )
        for name, bucket in lengthening(limits)
    )
    if alarm and not subject.known_device:
        more += 1
    return min(limits.code_length + more * MORE_DIGITS, LONGEST_CODE)


def lengthening(limits: Limits) -> list[tuple[str, Bucket]]:
    """The budgets of a phone's failures after which its codes get longer."""
    return [
        ("phone-failures-day", Bucket(limits.failures_per_phone_day, DAY)),
        ("phone-failures-month", Bucket(limits.failures_per_phone_month, MONTH)),
    ]


def invite_code_try(limits: Limits, subject: Subject, counted_by: str | None) -> list[Charge]:
    """Charges of one try of an invite code: to a person, by id or phone, or else to the address."""
    if counted_by is None:
        return _of_address(_INVITES_OF_ADDRESS, limits.invite_failures_per_address_hour, subject)
    bucket = Bucket(limits.invite_failures_per_user_hour, HOUR)
    return [buckets.charge(_INVITES_OF_USER, subject.counter(_INVITES_OF_USER, counted_by), bucket)]


def first_full(charges: Iterable[Charge], moments: Mapping[str, int], *, now: int) -> Charge | None:
    """The first charge that is refused, in the order of what a caller should be told."""
    return next((each for each in charges if each.is_full(moments.get(each.key, 0), now)), None)


def retry_after(charges: Iterable[Charge], moments: Mapping[str, int], *, now: int) -> int:
    """Seconds until none of them is refused, at least 1."""
    return max(_wait(charges, moments, now), 1)


def _wait(charges: Iterable[Charge], moments: Mapping[str, int], now: int) -> int:
    """Seconds until none of them is refused, 0 where none is."""
    full = [each for each in charges if each.is_full(moments.get(each.key, 0), now)]
    return max((each.retry_after(moments[each.key], now) for each in full), default=0)


def _room(bucket: Bucket, length: int, shortest: int) -> int | None:
    """How far a budget may be used by guesses at a code of this length."""
    more = (length - shortest) // MORE_DIGITS
    if length >= LONGEST_CODE or more >= MOST_STEPS:
        return None
    return bucket.room * (max(more, 0) + 1)


# A send asks for most of its keys three times, and the next one for some of them again
@lru_cache(maxsize=4096)
def _counter(key: bytes, text: str) -> str:
    # BLAKE2 with a key (RFC 7693) takes a quarter of an HMAC's time, and a send has ten of these
    return seal.to_text(blake2b(text.encode(), key=key, digest_size=_KEY_BYTES).digest())


def _wait_steps(limits: Limits, subject: Subject) -> Charge:
    """Counts the sends of an hour, as far as waits grow with them."""
    bucket = Bucket(len(limits.resend_waits), HOUR)
    return buckets.tally(_STEPS, subject.of_phone(_STEPS), bucket)


def wait_key(subject: Subject) -> str:
    """The counter of the wait between sends."""
    return subject.of_phone("phone-resend-wait")


def _of_address(name: str, size: int, subject: Subject) -> list[Charge]:
    return [
        buckets.charge(name, subject.counter(name, network), Bucket(size * times, HOUR))
        for network, times in _networks(subject)
    ]


def _networks(subject: Subject) -> Sequence[tuple[str, int]]:
    """What the address counts as: nothing on a device that knows the phone."""
    return () if subject.known_device else networks(subject.address)
