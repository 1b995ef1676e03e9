"""The channels in use: their gateways, and sending a message through one after another.

If a channel certainly did not accept a message, the next one gets it. What a provider says about
the phone, such as that it has no account there, must change neither the response nor its time. So
once a gateway has refused the phone, the caller gets the outcome of an accepted message, and the
other channels are tried after that.

Times are made equal too: a refusal takes at least as long as a random recent message that was
accepted, and an accepted message as long as a random recent refusal. Both are then the longer of
two independent times, one of each kind.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from time import monotonic
from typing import Protocol

from referral import observability
from referral.core.channels import Channel, ChannelRules
from referral.messaging.gateways import Message
from referral.messaging.gateways.chain import MAY_ARRIVE, Chain, SendResult
from referral.storage import database

# Below the 30 s after which hosting platforms cut a request
DEADLINE_SECONDS = 20
# Only recent times count: one slow response must not slow a channel for long
_REMEMBERED_TIMES, _RECENT_SECONDS = 50, 600
_MAX_PAUSE_SECONDS = 3
# The time of both outcomes while the opposite one has no recent times, where the outcome tells who
# has an account
_USUAL_SECONDS = {Channel.TELEGRAM: 0.5, Channel.WHATSAPP: 0.5}


class MessageCharges(Protocol):
    """The charges of a message while channels are tried."""

    async def charge(self) -> bool:
        """Charge one more message; return False if the phone may not get it."""

    async def charge_to(self, channel: Channel) -> bool:
        """Charge the message to this channel; return False if it may not be sent by it."""

    def receipt_for(self, channel: Channel) -> str:
        """Return the receipt that comes back in the message's delivery reports; "" if none does."""

    async def refund(self) -> bool:
        """Refund the message that was charged last. Return whether it was the only one."""

    async def record_channel(self, channel: Channel) -> None:
        """Record to which channel the message stays charged, if its caller did not wait."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a message fared, as far as its caller waits for it.

    channel: the last that was tried; the first if that is not known. is_pending: later channels may
    still be tried.
    """

    result: SendResult
    channel: Channel
    is_pending: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Channels:
    """The channels in use, each with its chain of gateways."""

    rules: ChannelRules
    chains: Mapping[Channel, Chain]
    urls: Mapping[Channel, str] = field(repr=False)
    """The URL of each channel's provider except SMS. Its credentials verify delivery reports."""
    app_hashes: frozenset[str]
    """Of the Android apps that may read codes."""
    randbelow: Callable[[int], int]
    times: Mapping[Channel, _Times] = field(
        default_factory=lambda: {channel: _Times() for channel in Channel}, repr=False
    )

    @property
    def echoes_code(self) -> bool:
        """Whether the response of send-code has the code, because nothing is really sent."""
        sms = self.chains.get(Channel.SMS)
        return sms is not None and sms.echoes_code

    async def send(
        self, message: Message, plan: Sequence[Channel], *, charges: MessageCharges
    ) -> Outcome:
        """Send a message by the first of these channels that accepts it.

        It goes on if the caller is cancelled, and after 20 seconds, when the message may still
        arrive. Raises what the charges raise.
        """
        sending = _Sending(self, message, charges)
        running = database.spawn(sending.run(plan))
        is_settled = False
        try:
            waited, _ = await asyncio.wait(
                {sending.early_outcome, running},
                timeout=DEADLINE_SECONDS,
                return_when=asyncio.FIRST_COMPLETED,
            )
            if sending.phone_was_refused:
                # Shielded, since it is set later even if the caller is cancelled
                return await asyncio.shield(sending.early_outcome)
            if not waited:
                sending.deadline_passed = True
                return Outcome(MAY_ARRIVE, plan[0], is_pending=True)
            is_settled = True
            return running.result()
        finally:
            if not is_settled:
                running.add_done_callback(observability.task_ended)


class _Times:
    """When the last messages of a channel ended, and how many seconds each took, by outcome."""

    def __init__(self) -> None:
        self.accepted: deque[tuple[float, float]] = deque(maxlen=_REMEMBERED_TIMES)
        self.refused: deque[tuple[float, float]] = deque(maxlen=_REMEMBERED_TIMES)


class _Sending:
    """A message on its way through the channels."""

    def __init__(self, channels: Channels, message: Message, charges: MessageCharges) -> None:
        self._channels, self._message, self._charges = channels, message, charges
        self.early_outcome: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        """The outcome for the caller, once a gateway has refused the phone."""
        self.phone_was_refused = False
        self.deadline_passed = False
        """Whether the caller could wait no longer."""

    async def run(self, plan: Sequence[Channel]) -> Outcome:
        """Send the message, and return its outcome."""
        outcome = Outcome(SendResult(is_accepted=False), plan[0])
        try:
            async with asyncio.timeout(2 * DEADLINE_SECONDS):
                for channel in plan:
                    if not await self._charges.charge_to(channel):
                        break
                    outcome = Outcome(await self._try(channel), channel)
                    if not outcome.result.was_not_accepted:
                        break
        except TimeoutError:
            return Outcome(MAY_ARRIVE, plan[0])
        if self.phone_was_refused or self.deadline_passed:
            await self._settle(outcome)
        return outcome

    async def _settle(self, outcome: Outcome) -> None:
        """Do what depends on the final outcome, which the caller does not learn."""
        await self._charges.record_channel(outcome.channel)
        # Once a gateway has refused the phone, the message stays charged, whatever becomes of it
        if outcome.result.is_refundable and not self.phone_was_refused:
            await self._charges.refund()

    async def _charge(self) -> bool:
        return not self.phone_was_refused and await self._charges.charge()

    async def _try(self, channel: Channel) -> SendResult:
        started, times = monotonic(), self._channels.times[channel]

        def refuse_phone() -> None:
            """Give the caller the outcome of an accepted message, after a pause."""
            if not self.phone_was_refused:
                self.phone_was_refused = True
                pause = self._pause(channel, times.refused, times.accepted, started)
                outcome = Outcome(MAY_ARRIVE, channel, is_pending=True)
                asyncio.get_running_loop().call_later(pause, self.early_outcome.set_result, outcome)

        result = await self._channels.chains[channel].send(
            replace(self._message, receipt=self._charges.receipt_for(channel)),
            charge=self._charge,
            on_phone_refused=refuse_phone,
        )
        if result.is_accepted and not self.phone_was_refused:
            await asyncio.sleep(self._pause(channel, times.accepted, times.refused, started))
        return result

    def _pause(
        self,
        channel: Channel,
        same: deque[tuple[float, float]],
        opposite: deque[tuple[float, float]],
        started: float,
    ) -> float:
        """Remember how long a message took that ends now.

        Return how many more seconds it has to take, to take as long as a random recent one of the
        opposite outcome.
        """
        now = monotonic()
        same.append((now, now - started))
        recent = [seconds for at, seconds in opposite if now - at < _RECENT_SECONDS]
        if recent:
            wanted = recent[self._channels.randbelow(len(recent))]
        else:
            wanted = _USUAL_SECONDS.get(channel, 0)
        return min(max(wanted - (now - started), 0), _MAX_PAUSE_SECONDS)
