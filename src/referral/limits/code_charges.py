"""The charges of one message with a code while channels and gateways are tried."""

from __future__ import annotations

from msgspec.structs import replace

from referral.context import Caller, Context
from referral.core.challenge import Challenge
from referral.core.channels import Channel
from referral.core.phone import country
from referral.limits import counters, gcra, receipts, refunds, sends
from referral.limits.counters import Advance
from referral.limits.policy import LimitName
from referral.limits.pumping import guard
from referral.limits.receipts import Receipt
from referral.limits.scope import counter_key
from referral.limits.sends import Charged

# Their providers report which messages they do not bill
_MAY_BE_UNBILLED = frozenset({Channel.TELEGRAM, Channel.WHATSAPP})


class CodeCharges:
    """The charges of a message that `sends.charge` has charged to its first channel."""

    def __init__(
        self, ctx: Context, charged: Charged, challenge_id: str, *, caller: Caller
    ) -> None:
        self._ctx, self._charged, self._challenge_id = ctx, charged, challenge_id
        self._caller, self._last = caller, charged

    async def charge(self) -> bool:
        """Charge one more message; return False if the phone may not get it."""
        another = await sends.charge_fallback(self._ctx, self._charged)
        self._last = another or self._last
        return another is not None

    async def charge_to(self, channel: Channel) -> bool:
        """Charge the message to this channel instead of the one that it is charged to.

        Only its weight changes: the phone, the address and the wait are charged once, whatever a
        provider says about the phone. Return False if the channel is dearer, and the cost guard or
        the day's sends overall refuse the difference.
        """
        ctx, before, at = self._ctx, self._charged.scope, self._charged.at
        scope = replace(before, weight=ctx.channels.rules.weights[channel])
        if scope.weight != before.weight:
            guard.refund_send(ctx, before, at)
            if scope.weight > before.weight:
                # Many messages may have been admitted at a low weight at the same time
                added = scope.weight - before.weight
                if waits := sends.waits_in_memory(ctx, scope, at, weight_of_day=added):
                    guard.count_send(ctx, before, at)
                    await sends.record_refusal(ctx, scope, waits, caller=self._caller, at=at)
                    return False
            guard.count_send(ctx, scope, at)
            ctx.global_limits.add(LimitName.SENDS_DAY, scope.weight - before.weight)
            self._charged = self._last = replace(self._charged, scope=scope)
        return True

    def receipt_for(self, channel: Channel) -> str:
        """Return the receipt for a channel's delivery reports; "" if it bills every message."""
        if channel not in _MAY_BE_UNBILLED:
            return ""
        charged = self._charged
        receipt = Receipt(self._challenge_id, charged.scope, charged.at)
        return receipts.encode(receipt, self._ctx.keys)

    async def record_channel(self, channel: Channel) -> None:
        """Record to which channel the message stays charged, for as long as the code is valid."""
        tat = gcra.microseconds(self._ctx.clock()) + self._ctx.limits.code_life * gcra.SECOND
        await counters.advance(
            Advance(_key(self._ctx, self._challenge_id, channel), tat, below=tat)
        )

    async def refund(self) -> bool:
        """Refund the message that was charged last. Return whether it was the only one."""
        await refunds.refund(self._ctx, self._last)
        return self._last is self._charged


async def find_channel(ctx: Context, challenge: Challenge) -> Channel | None:
    """Return the channel to which a challenge's message is charged; None if it is not settled."""
    if not challenge.channel_is_tentative:
        return challenge.channel
    keys = {
        _key(ctx, challenge.id, channel): channel
        for channel in ctx.channels.rules.in_order(country(challenge.phone))
    }
    noted = await counters.read(keys)
    return keys[next(iter(noted))] if noted else None


def _key(ctx: Context, challenge_id: str, channel: Channel) -> str:
    return counter_key(ctx.counter_key, f"channel|{challenge_id}|{channel}")
