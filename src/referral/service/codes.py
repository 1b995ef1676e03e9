"""Sending a code: what sign-in and the change of phone have in common. guesses.py takes it back."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, NoReturn

from msgspec import UNSET, Meta, Struct, UnsetType

from referral.core import buckets, budgets, phone, tokens
from referral.core import challenge as challenges
from referral.core.buckets import Charge
from referral.core.budgets import Subject
from referral.core.errors import SmsUnavailable, TooManyRequests
from referral.core.keys import Purpose
from referral.service import cost_guard, messages, outcomes
from referral.service.parts import Caller, Parts
from referral.service.totals import SENDS
from referral.storage import counters


class SentCode(Struct, frozen=True, kw_only=True):
    """What a client needs to ask for the code and to send it back."""

    token: Annotated[
        str,
        Meta(
            description="The challenge, a compact JWE. Send it back with the code.",
            examples=["eyJhbGciOiJkaXIiLCJlbmMiOiJBMjU2R0NNIiwia2lkIjoiRU52ZnllU3cifQ..."],
        ),
    ]
    phone: Annotated[str, Meta(description="E.164", examples=["+79991234567"])]
    code_length: Annotated[int, Meta(description="digits", examples=[4])]
    expires_in: Annotated[int, Meta(description="seconds", examples=[120])]
    resend_in: Annotated[
        int, Meta(description="seconds after which a new code can be asked for", examples=[30])
    ]
    code: Annotated[
        str | UnsetType,
        Meta(description="The code itself, while sending is simulated.", examples=["0391"]),
    ] = UNSET


async def send(
    parts: Parts,
    *,
    text: str,
    purpose: Purpose,
    caller: Caller,
    device_token: str | None = None,
    user_id: str | None = None,
) -> SentCode:
    """Send a new code to the phone that `text` spells.

    Raises InvalidPhone, UnsupportedPhone, TooManyRequests, SmsUnavailable.
    """
    to = phone.read(text, parts.phone_rules)
    at = parts.clock()
    now = buckets.microseconds(at)
    subject = Subject(
        phone=to,
        address=caller.address,
        known_device=device_token is not None
        and tokens.is_known_device(device_token, to, now=at, kept=parts.kept),
        key=parts.counter_key,
    )
    taken = await _charge_send(parts, subject, caller=caller, at=at)
    length = budgets.code_length(
        parts.limits, subject, taken.before, alarm=parts.totals.is_alarmed(at), now=now
    )
    try:
        code, is_fixed = await _make_and_send(parts, to, length, caller)
    except SmsUnavailable:
        cost_guard.give_back(parts, subject, at)
        await counters.give_back(taken.charges, now=now)
        raise
    parts.totals.add(SENDS)
    # Made after the message went out, so that a slow gateway takes nothing from the code's life
    token = challenges.issue(
        purpose=purpose,
        phone=to,
        code=code,
        life=parts.limits.code_life,
        now=parts.clock(),
        keys=parts.keys,
        token_bytes=parts.token_bytes,
        user_id=user_id,
        known_device=subject.known_device,
        address=caller.address,
    )
    outcomes.record("code_sent", caller=caller, phone=to, purpose=purpose.name.lower())
    return SentCode(
        token=token,
        phone=to,
        code_length=len(code),
        expires_in=parts.limits.code_life,
        resend_in=budgets.resend_in(taken.charges, taken.charged, now=now),
        code=code if parts.gateway.echoes_code and not is_fixed else UNSET,
    )


class _Send(Struct, frozen=True):
    """What a send took, and where its counters stood before it and stand after it."""

    charges: list[Charge]
    before: Mapping[str, int]
    charged: Mapping[str, int]


async def _charge_send(parts: Parts, subject: Subject, *, caller: Caller, at: datetime) -> _Send:
    """Raises TooManyRequests."""
    now = buckets.microseconds(at)
    keys = budgets.send_keys(parts.limits, subject)
    moments: Mapping[str, int] | None = None
    wait = parts.totals.wait_for_sends(at, known_device=subject.known_device)
    if not wait and await cost_guard.take_at_once(parts, subject, caller=caller, at=at):
        # Most often the phone's first one of an hour, which PostgreSQL looks at and charges in one
        # statement; anything else goes by steps
        charges = budgets.send(parts.limits, subject, {}, now=now)
        try:
            first = budgets.only_first(charges)
            moments, charged = await counters.read_and_charge(keys, first, now=now)
        except BaseException:
            cost_guard.give_back(parts, subject, at)
            raise
        if charged is not None:
            return _Send(charges, moments, charged)
        cost_guard.give_back(parts, subject, at)
    if moments is None:
        moments = await counters.read(keys)
    charges = budgets.send(parts.limits, subject, moments, now=now)
    if wait:
        total = parts.totals.charges[SENDS]
        outcomes.limited(total.name, total.key, caller=caller, now=now)
        raise TooManyRequests.by(total, retry_after=wait)
    if budgets.first_full(charges, moments, now=now) is not None:
        _refuse_send(charges, moments, caller, now)
    await cost_guard.take(parts, subject, caller=caller, at=at)
    charged = await counters.charge(charges, now=now)
    if charged is None:
        cost_guard.give_back(parts, subject, at)
        # Another call took the last one since the look
        _refuse_send(charges, await counters.read(each.key for each in charges), caller, now)
    return _Send(charges, moments, charged)


async def _make_and_send(parts: Parts, to: str, length: int, caller: Caller) -> tuple[str, bool]:
    """The code that was sent, and whether it is a test phone's, to which nothing is sent."""
    if fixed := parts.fixed_code(to):
        return fixed, True
    code = challenges.new_code(length, parts.randbelow)
    await messages.send(parts, messages.code(parts, to, code, caller=caller))
    return code, False


def _refuse_send(
    charges: list[Charge], moments: Mapping[str, int], caller: Caller, now: int
) -> NoReturn:
    full = budgets.first_full(charges, moments, now=now) or charges[0]
    outcomes.limited(full.name, full.key, caller=caller, now=now)
    raise TooManyRequests.by(full, retry_after=budgets.retry_after(charges, moments, now=now))
