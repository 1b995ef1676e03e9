"""Sending a code and taking it back: what sign-in and the change of phone have in common."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Annotated, TypeVar

from msgspec import UNSET, Meta, Struct, UnsetType

from referral.core import challenge as challenges
from referral.core import phone
from referral.core.challenge import Challenge
from referral.core.errors import ChallengeSpent, TooManyAttempts, WrongCode
from referral.core.keys import Purpose
from referral.gateways import Message
from referral.service import outcomes
from referral.service.parts import Caller, Parts
from referral.storage import challenges as uses
from referral.storage import database

T = TypeVar("T")


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
    parts: Parts, *, text: str, purpose: Purpose, caller: Caller, user_id: str | None = None
) -> SentCode:
    """Send a new code to the phone that `text` spells.

    Raises InvalidPhone, UnsupportedPhone, SmsUnavailable.
    """
    to = phone.read(text, parts.phone_rules)
    test = parts.test_phones.get(to)
    if test is not None and parts.clock().date() <= test.until:
        code, echoed = test.code, False
    else:
        code = challenges.new_code(parts.limits.code_length, parts.randbelow)
        echoed = parts.gateway.echoes_code
        await parts.gateway.send(Message(to, f"{code} is your code for {parts.app_name}."))
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
    )
    outcomes.record("code_sent", caller=caller, phone=to, purpose=purpose.name.lower())
    return SentCode(
        token=token,
        phone=to,
        code_length=len(code),
        expires_in=parts.limits.code_life,
        resend_in=parts.limits.resend_in(1),
        code=code if echoed else UNSET,
    )


async def redeem(
    parts: Parts, challenge: Challenge, code: str, work: Callable[[], Awaitable[T]]
) -> T:
    """Take one guess at the challenge; where it is right, do `work` and spend the challenge.

    Both happen in one transaction, or neither: what refuses or breaks `work` leaves the challenge
    good and gives the guess back, also to a client that did not wait for the answer.
    Raises InvalidRequest, WrongCode, ChallengeSpent, TooManyAttempts, and what `work` raises.
    """
    code = challenges.read_code(code)
    return await database.to_its_end(_redeem(parts, challenge, code, work))


async def _redeem(
    parts: Parts, challenge: Challenge, code: str, work: Callable[[], Awaitable[T]]
) -> T:
    await _charge(parts, challenge, code)

    async def spend_and_work() -> T:
        if not await uses.spend(challenge.id):
            raise ChallengeSpent
        return await work()

    try:
        return await database.transaction(spend_and_work)
    except ChallengeSpent:
        raise
    except Exception:
        await uses.give_back_guess(challenge.id)
        raise


async def _charge(parts: Parts, challenge: Challenge, code: str) -> None:
    # Charged and committed before the comparison: whoever asks many times at once gets no more
    # answers than whoever asks one after another
    most = parts.limits.guesses_per_challenge
    taken = await uses.charge_guess(
        challenge.id, most=most, expires_at=datetime.fromtimestamp(challenge.expires_at, UTC)
    )
    if taken is None:
        if await uses.is_spent(challenge.id):
            raise ChallengeSpent
        raise TooManyAttempts(retry_after=parts.limits.resend_in(1))
    if not challenges.is_code(challenge, code, keys=parts.keys):
        raise WrongCode.with_attempts_left(most - taken)
