"""Sending codes for a sign-in or a change of phone. limits/guesses.py redeems them."""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

from referral import observability
from referral.context import Caller, Context
from referral.core import challenge as challenges
from referral.core import phone
from referral.core import proof as proofs
from referral.core.errors import SmsUnavailable
from referral.core.keys import Purpose
from referral.limits import guess_policy, sends
from referral.limits.scope import LimitScope
from referral.limits.sends import Charged
from referral.messaging import messages
from referral.service import devices

_RETRY_AFTER = 5  # seconds


class SentCode(Struct, frozen=True, kw_only=True):
    """A challenge, and what a client needs to ask the user for the code."""

    token: Annotated[
        str,
        Meta(
            description="The challenge, a compact JWE. Send it back with the code.",
            examples=["eyJhbGciOiJkaXIiLCJlbmMiOiJBMjU2R0NNIiwia2lkIjoiRU52ZnllU3cifQ..."],
        ),
    ]
    phone: Annotated[str, Meta(description="E.164", examples=["+79991234567"])]
    code_length: Annotated[int, Meta(description="Number of digits.", examples=[4])]
    expires_in: Annotated[int, Meta(description="Seconds until the code expires.", examples=[120])]
    resend_in: Annotated[
        int, Meta(description="Seconds until another code can be requested.", examples=[30])
    ]
    code: Annotated[
        str | UnsetType,
        Meta(description="The code itself. Only with the simulated gateway.", examples=["0391"]),
    ] = UNSET


async def send(
    ctx: Context,
    *,
    text: str,
    purpose: Purpose,
    caller: Caller,
    device_token: str | None = None,
    user_id: str | None = None,
) -> SentCode:
    """Send a new code to a phone.

    text: the phone as it was typed. user_id: for a change of phone, the id of its user.

    Raises InvalidPhone, UnsupportedPhone, TooManyRequests, SmsUnavailable.
    """
    to = phone.parse(text, ctx.phone_rules)
    at = ctx.clock()
    device = await devices.recognise(ctx, device_token, to, now=at)
    scope = LimitScope(
        phone=to,
        address=caller.address,
        known_device=device.is_known,
        key=ctx.counter_key,
    )
    charged = await sends.charge(ctx, scope, caller=caller, at=at)
    length = guess_policy.code_length(
        ctx.limits, scope, charged.before, alarm=ctx.global_limits.is_alarmed(at), now=charged.now
    )
    code, is_fixed = await _generate_and_send(ctx, charged, length, caller)
    # Issued once the message is sent, so that a slow gateway does not shorten the code's life
    token = challenges.issue(
        purpose=purpose,
        phone=to,
        code=code,
        life=ctx.limits.code_life,
        now=ctx.clock(),
        keys=ctx.keys,
        token_bytes=ctx.token_bytes,
        user_id=user_id,
        known_device=scope.known_device,
        as_stranger=charged.scope.as_stranger,
        address=caller.address,
        shared_device=device.shared_device,
        proof=proofs.of_code(
            is_fixed=is_fixed,
            is_simulated=ctx.gateway.echoes_code,
            is_open_demo=not ctx.admins_allowed,
        ),
    )
    observability.record("code_sent", caller=caller, phone=to, purpose=purpose.name.lower())
    return SentCode(
        token=token,
        phone=to,
        code_length=len(code),
        expires_in=ctx.limits.code_life,
        resend_in=charged.resend_in,
        code=code if ctx.gateway.echoes_code and not is_fixed else UNSET,
    )


async def _generate_and_send(
    ctx: Context, charged: Charged, length: int, caller: Caller
) -> tuple[str, bool]:
    """Generate a code and send it, except to a test phone, which has a fixed code.

    Return the code, and whether it is a fixed one. Raises SmsUnavailable if every gateway has
    certainly failed. A message whose outcome is unknown may still arrive and counts as sent.
    """
    to = charged.scope.phone
    if fixed := ctx.fixed_code(to):
        return fixed, True
    last = charged

    async def charge_another() -> bool:
        nonlocal last
        another = await sends.charge_fallback(ctx, charged)
        last = another or last
        return another is not None

    code = challenges.new_code(length, ctx.randbelow)
    message = messages.code(ctx, to, code, caller=caller)
    result = await messages.send(ctx, message, charge=charge_another)
    if result.refundable:
        await sends.refund(ctx, last)
    if result.has_failed:
        # If a message stays charged, the wait until the next one applies
        wait = 0 if result.refundable and last is charged else charged.resend_in
        raise SmsUnavailable(reason="every gateway failed", retry_after=max(wait, _RETRY_AFTER))
    return code, False
