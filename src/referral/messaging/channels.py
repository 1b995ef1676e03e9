"""The channels in use: their gateways, and sending a message through one after another.

If a channel certainly did not accept a message, the next one gets it. The caller learns how the
message fared as soon as that depends no more on the phone: what a provider says about it, such as
that it has no account there, must change neither the response nor its time. So once a gateway has
refused the phone, the rest goes on after the response.

The times do not tell either. A response to a refusal waits as long as some message lately took that
was accepted, if that is longer, and a response to an acceptance as long as a refusal took. Both are
then the longer of two independent times, one of each kind.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from time import monotonic
from typing import Protocol

from referral.core.channels import Channel, ChannelRules
from referral.messaging.gateways import Message
from referral.messaging.gateways.chain import Chain, SendResult
from referral.storage import database

# Below the 30 s after which hosting platforms cut a request
DEADLINE_SECONDS = 20
_REMEMBERED_TIMES = 50


class MessageCharges(Protocol):
    """The charges of a message while channels are tried."""

    async def charge(self) -> bool:
        """Charge one more message; return False if the phone may not get it."""

    def move_to(self, channel: Channel) -> str | None:
        """Charge the message to this channel instead of the one before.

        Return the receipt for its delivery reports; None if the message may not be sent by it.
        """

    async def refund(self) -> bool:
        """Refund the message that was charged last. Return whether it was the only one."""

    async def note(self, channel: Channel) -> None:
        """Remember to which channel the message stays charged, if its sender did not wait."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a message fared, as far as its sender waits for it.

    channel: the last that was tried. goes_on: the sender was answered before this was settled, so
    later channels may still be tried.
    """

    result: SendResult
    channel: Channel
    goes_on: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Channels:
    """The channels in use, each with its chain of gateways."""

    rules: ChannelRules
    chains: Mapping[Channel, Chain]
    urls: Mapping[Channel, str] = field(repr=False)
    """Of the providers, without SMS: they check delivery reports."""
    app_hashes: frozenset[str]
    """Of the Android apps that read codes from messages."""
    randbelow: Callable[[int], int]
    _times: Mapping[Channel, _Times] = field(
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
        sending = _Sending(self.chains, self._times, self.randbelow, message, charges)
        running = database.spawn(sending.run(plan))
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
            return Outcome(SendResult(), plan[0], goes_on=True)
        return running.result()


class _Times:
    """How many seconds the last messages of a channel took, by how they fared."""

    def __init__(self) -> None:
        self.accepted: deque[float] = deque(maxlen=_REMEMBERED_TIMES)
        self.refused: deque[float] = deque(maxlen=_REMEMBERED_TIMES)


class _Sending:
    """A message on its way through the channels."""

    def __init__(
        self,
        chains: Mapping[Channel, Chain],
        times: Mapping[Channel, _Times],
        randbelow: Callable[[int], int],
        message: Message,
        charges: MessageCharges,
    ) -> None:
        self._chains, self._times, self._randbelow = chains, times, randbelow
        self._message, self._charges = message, charges
        self.early_outcome: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        """The outcome for the sender, once a gateway has refused the phone."""
        self.phone_was_refused = False
        self.deadline_passed = False
        """Whether the sender was answered because it could wait no longer."""

    async def run(self, plan: Sequence[Channel]) -> Outcome:
        """Send the message, and return its outcome."""
        outcome = Outcome(SendResult(is_accepted=False), plan[0])
        try:
            async with asyncio.timeout(2 * DEADLINE_SECONDS):
                for channel in plan:
                    receipt = self._charges.move_to(channel)
                    if receipt is None:
                        break
                    outcome = Outcome(await self._try(channel, receipt), channel)
                    if not outcome.result.is_untaken:
                        break
        except TimeoutError:
            # It may still arrive
            return Outcome(SendResult(), plan[0])
        if self.phone_was_refused or self.deadline_passed:
            await self._settle(outcome)
        return outcome

    async def _settle(self, outcome: Outcome) -> None:
        """Do what depends on the final outcome, which the sender does not learn."""
        await self._charges.note(outcome.channel)
        # Once a gateway has refused the phone, the message stays charged, whatever becomes of it
        if outcome.result.refundable and not self.phone_was_refused:
            await self._charges.refund()

    async def _charge(self) -> bool:
        return not self.phone_was_refused and await self._charges.charge()

    async def _try(self, channel: Channel, receipt: str) -> SendResult:
        started, times = monotonic(), self._times[channel]

        def refuse_phone() -> None:
            """Tell the sender as if the message had been accepted."""
            if not self.phone_was_refused:
                self.phone_was_refused = True
                pause = self._pause(times.refused, times.accepted, monotonic() - started)
                outcome = Outcome(SendResult(), channel, goes_on=True)
                asyncio.get_running_loop().call_later(pause, self.early_outcome.set_result, outcome)

        result = await self._chains[channel].send(
            replace(self._message, receipt=receipt),
            charge=self._charge,
            on_phone_refused=refuse_phone,
        )
        if result.is_accepted and not self.phone_was_refused:
            await asyncio.sleep(self._pause(times.accepted, times.refused, monotonic() - started))
        return result

    def _pause(self, own: deque[float], other: deque[float], seconds: float) -> float:
        """Remember how long a message took; return how much longer one that fared otherwise did."""
        own.append(seconds)
        return max(other[self._randbelow(len(other))] - seconds, 0) if other else 0
