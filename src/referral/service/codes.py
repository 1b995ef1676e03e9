"""Sending codes for a sign-in or a change of phone. limits/guesses.py redeems them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

from referral import observability
from referral.context import Caller, Context
from referral.core import challenge as challenges
from referral.core import phone
from referral.core import proof as proofs
from referral.core.channels import Channel
from referral.core.errors import InvalidRequest, SmsUnavailable
from referral.core.keys import Purpose
from referral.limits import guess_policy, sends
from referral.limits.code_charges import CodeCharges
from referral.limits.scope import LimitScope
from referral.messaging import messages
from referral.messaging.channels import Outcome
from referral.messaging.gateways import Message
from referral.messaging.gateways.chain import MAY_ARRIVE
from referral.service import devices

_RETRY_AFTER = 5  # seconds


@dataclass(frozen=True, slots=True)
class SendOptions:
    """How a code is sent.

    channel: None for the first in order. app_hash: of the Android app that reads the message.
    """

    channel: Channel | None = None
    app_hash: str = ""


DEFAULT_OPTIONS = SendOptions()


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
        int,
        Meta(
            description="Seconds until another code can be requested, by any channel.",
            examples=[30],
        ),
    ]
    channel: Annotated[
        Channel,
        Meta(
            description=(
                "The channel that is tried first. If it does not accept the message, the code goes "
                "by another one. It depends on the phone's country and the service's settings, or "
                "on the `channel` of the request, and never on the account."
            ),
            examples=["telegram"],
        ),
    ]
    other_channels: Annotated[
        list[Channel],
        Meta(
            description="The other channels that can be asked for, in order.",
            examples=[["sms", "voice"]],
        ),
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
    options: SendOptions = DEFAULT_OPTIONS,
    device_token: str | None = None,
    user_id: str | None = None,
) -> SentCode:
    """Send a new code to a phone.

    text: the phone as it was typed. user_id: for a change of phone, the id of its user.

    Raises InvalidPhone, UnsupportedPhone, InvalidRequest, TooManyRequests, SmsUnavailable.
    """
    to = phone.parse(text, ctx.phone_rules)
    at = ctx.clock()
    rules, region = ctx.channels.rules, phone.country(to)
    _require_available(ctx, options)
    plan = rules.plan(region, options.channel)
    device = await devices.recognise(ctx, device_token, to, now=at)
    scope = LimitScope(
        phone=to,
        address=caller.address,
        known_device=device.is_known,
        key=ctx.counter_key,
        weight=rules.weights[plan[0]],
    )
    charged = await sends.charge(ctx, scope, caller=caller, at=at, is_call=plan[0] is Channel.VOICE)
    length = guess_policy.code_length(
        ctx.limits, scope, charged.before, alarm=ctx.global_limits.is_alarmed(at), now=charged.now
    )
    challenge_id = challenges.new_id(ctx.token_bytes)
    if fixed := ctx.fixed_code(to):
        code, outcome = fixed, Outcome(MAY_ARRIVE, plan[0])
    else:
        code = challenges.new_code(length, ctx.randbelow)
        message = messages.code(ctx, to, code, caller=caller, app_hash=options.app_hash)
        charges = CodeCharges(ctx, charged, challenge_id, caller=caller)
        outcome = await _send(ctx, message, plan, charges, resend_in=charged.resend_in)
    is_tentative = outcome.is_pending and len(plan) > 1
    # Issued once the message is sent, so that a slow gateway does not shorten the code's life
    token = challenges.issue(
        challenge_id=challenge_id,
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
            None if is_tentative else outcome.channel,
            is_fixed=fixed is not None,
            is_simulated=ctx.channels.echoes_code,
            is_open_demo=not ctx.admins_allowed,
        ),
        channel=outcome.channel,
        channel_is_tentative=is_tentative,
    )
    observability.record("code_sent", caller=caller, phone=to, purpose=purpose.name.lower())
    return SentCode(
        token=token,
        phone=to,
        code_length=len(code),
        expires_in=ctx.limits.code_life,
        resend_in=charged.resend_in,
        channel=plan[0],
        other_channels=list(rules.others(region, plan[0])),
        code=code if ctx.channels.echoes_code and fixed is None else UNSET,
    )


def _require_available(ctx: Context, options: SendOptions) -> None:
    """Raise InvalidRequest if the channel is not set up or the app is unknown."""
    if options.channel is not None and options.channel not in ctx.channels.rules.available:
        raise InvalidRequest.field(
            "channel",
            "This service does not send codes by this channel. Leave it out, or use one of "
            "`other_channels` in an earlier response.",
        )
    if options.app_hash and options.app_hash not in ctx.channels.app_hashes:
        raise InvalidRequest.field(
            "app", "This app is not known here. Add its hash to REFERRAL_SMS_APP_HASHES."
        )


async def _send(
    ctx: Context,
    message: Message,
    plan: tuple[Channel, ...],
    charges: CodeCharges,
    *,
    resend_in: int,
) -> Outcome:
    """Send a message with a code.

    Raises SmsUnavailable if every gateway that was tried has reported a failure. A message whose
    outcome is unknown may still arrive and counts as sent.
    """
    outcome = await messages.send(ctx, message, plan, charges=charges)
    is_refunded = outcome.result.is_refundable and await charges.refund()
    if outcome.result.has_failed:
        # If a message stays charged, the wait until the next one applies
        wait = 0 if is_refunded else resend_in
        tried = plan[: plan.index(outcome.channel) + 1]
        # A call needs a message that counts
        unavailable = {*tried, Channel.VOICE} if is_refunded else set(tried)
        others = ctx.channels.rules.others(phone.country(message.phone), plan[0])
        raise SmsUnavailable.by(
            tried,
            others=[each for each in others if each not in unavailable],
            retry_after=max(wait, _RETRY_AFTER),
        )
    return outcome
