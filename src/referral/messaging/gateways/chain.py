"""A chain of gateways of one channel: each is tried in turn, for a limited time.

If a gateway certainly did not accept a message, the next one gets it. If that is unknown, the
message counts as sent, and one more gateway gets it as a second message, which is charged too: the
same code twice does no harm, while no code at all keeps a person out.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from time import monotonic

from referral.messaging.gateways import Failure, Gateway, GatewayError, Message
from referral.messaging.gateways.post import CONNECT_SECONDS

_RETRY_PAUSE_SECONDS = 0.3
# Without this much time left, a retry could be cut off while it connects. Whether it was accepted
# would then be unknown, and no other channel would be tried
_RETRY_SECONDS = _RETRY_PAUSE_SECONDS + CONNECT_SECONDS
_MAX_MESSAGES = 2


@dataclass(frozen=True, slots=True)
class SendResult:
    """The result of sending a message.

    is_accepted: a gateway accepted it. failures: those of the gateways that were tried before it.
    charged: how many messages were charged.
    """

    is_accepted: bool = True
    failures: tuple[Failure, ...] = ()
    charged: int = 1

    @property
    def refuses_phone(self) -> bool:
        """Whether a gateway refused the phone."""
        return Failure.PHONE in self.failures

    @property
    def has_failed(self) -> bool:
        """Whether every gateway that was tried reported a failure, none because of the phone."""
        is_silent = Failure.NO_ANSWER in self.failures
        return not (self.is_accepted or self.refuses_phone or is_silent)

    @property
    def is_refundable(self) -> bool:
        """Whether the message charged last was certainly not accepted, and not for the phone."""
        is_certain = not self.is_accepted and self._uncertain < self.charged
        return is_certain and not self.refuses_phone

    @property
    def was_not_accepted(self) -> bool:
        """Whether certainly no gateway accepted the message, so another channel may get it."""
        return not self.is_accepted and not self._uncertain

    @property
    def _uncertain(self) -> int:
        return sum(failure.is_uncertain for failure in self.failures)


# Of a message that may still arrive, or that needs no gateway
MAY_ARRIVE = SendResult()


class Chain:
    """Sends each message through the first gateway that accepts it."""

    def __init__(
        self,
        gateways: Sequence[Gateway],
        *,
        timeout: float,
        on_attempt: Callable[[str, Message, Failure | None, str], None],
    ) -> None:
        """timeout: seconds for each gateway, including its retry.

        on_attempt(name of the gateway, message, failure, reason): called for each gateway that was
        tried. failure is None if it accepted the message.
        """
        self._gateways = gateways
        self._timeout = timeout
        self._on_attempt = on_attempt

    @property
    def echoes_code(self) -> bool:
        return self._gateways[0].echoes_code

    async def send(
        self,
        message: Message,
        *,
        charge: Callable[[], Awaitable[bool]],
        on_phone_refused: Callable[[], None] = lambda: None,
    ) -> SendResult:
        """Send a message that has been charged already.

        charge(): charge one more message; return False if the phone may not get it. It is not
        called once a gateway has refused the phone, since the phone's counts would reveal that.
        on_phone_refused(): called as soon as a gateway refuses the phone.
        """
        failures: list[Failure] = []
        charged = 1
        for gateway in self._gateways:
            uncertain = sum(failure.is_uncertain for failure in failures)
            if uncertain == _MAX_MESSAGES:
                break
            if uncertain == charged:
                if Failure.PHONE in failures or not await charge():
                    break
                charged += 1
            failure = await self._attempt(gateway, message)
            if failure is None:
                return SendResult(failures=tuple(failures), charged=charged)
            failures.append(failure)
            if failure is Failure.PHONE:
                on_phone_refused()
        return SendResult(is_accepted=False, failures=tuple(failures), charged=charged)

    async def _attempt(self, gateway: Gateway, message: Message) -> Failure | None:
        failure: Failure | None = None
        reason = ""
        try:
            async with asyncio.timeout(self._timeout):
                await self._send_with_retry(gateway, message)
        except TimeoutError:
            failure, reason = Failure.NO_ANSWER, f"no response in {self._timeout:g} s"
        except GatewayError as error:
            failure, reason = error.failure, str(error)
        except Exception as error:  # noqa: BLE001 - a library may raise anything
            # Only the type: the message may repeat the phone and the text
            failure, reason = Failure.UNKNOWN, type(error).__name__
        self._on_attempt(gateway.name, message, failure, reason)
        return failure

    async def _send_with_retry(self, gateway: Gateway, message: Message) -> None:
        started = monotonic()
        try:
            await gateway.send(message)
        except GatewayError as error:
            left = self._timeout - (monotonic() - started)
            if not error.may_retry or left < _RETRY_SECONDS:
                raise
            await asyncio.sleep(_RETRY_PAUSE_SECONDS)
            await gateway.send(message)
