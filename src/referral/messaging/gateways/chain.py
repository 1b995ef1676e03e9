"""A chain of gateways: each is tried in turn, for a limited time.

If a gateway certainly did not accept a message, the next one gets it. If that is unknown, the
message counts as sent, and one more gateway gets it as a second message, which is charged too: the
same code twice does no harm, while no code at all keeps a person out.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from referral.messaging.gateways import Failure, Gateway, GatewayError, Message

_RETRY_PAUSE_SECONDS = 0.3
_MAX_MESSAGES = 2
_UNCERTAIN = (Failure.UNKNOWN, Failure.NO_ANSWER)


@dataclass(frozen=True, slots=True)
class SendResult:
    """The result of sending a message.

    has_failed: every gateway that was tried reported a failure, none of them because of the phone.
    refundable: the message that was charged last was certainly not accepted, and no gateway refused
    the phone.
    """

    has_failed: bool = False
    refundable: bool = False


class Chain:
    """Sends each message through the first gateway that accepts it."""

    def __init__(
        self,
        gateways: Sequence[Gateway],
        *,
        timeout: float,
        on_attempt: Callable[[str, str, Failure | None, str], None],
    ) -> None:
        """timeout: seconds for each gateway, including its retry.

        on_attempt(name of the gateway, phone, failure, reason): called for each gateway that was
        tried. failure is None if it accepted the message.
        """
        self._gateways = gateways
        self._timeout = timeout
        self._on_attempt = on_attempt
        self.name = ",".join(gateway.name for gateway in gateways)

    @property
    def echoes_code(self) -> bool:
        return self._gateways[0].echoes_code

    async def send(self, message: Message, *, charge: Callable[[], Awaitable[bool]]) -> SendResult:
        """Send a message that has been charged already.

        charge(): charge one more message; return False if the phone may not get it.
        """
        failures: list[Failure] = []
        charged = 1
        for gateway in self._gateways:
            uncertain = sum(failure in _UNCERTAIN for failure in failures)
            if uncertain == _MAX_MESSAGES:
                break
            if uncertain == charged:
                if not await charge():
                    break
                charged += 1
            failure = await self._attempt(gateway, message)
            if failure is None:
                return SendResult()
            failures.append(failure)
        about_phone = Failure.PHONE in failures
        return SendResult(
            has_failed=not about_phone and Failure.NO_ANSWER not in failures,
            refundable=not about_phone
            and sum(failure in _UNCERTAIN for failure in failures) < charged,
        )

    async def _attempt(self, gateway: Gateway, message: Message) -> Failure | None:
        failure: Failure | None = None
        reason = ""
        try:
            async with asyncio.timeout(self._timeout):
                await _send_with_retry(gateway, message)
        except TimeoutError:
            failure, reason = Failure.NO_ANSWER, f"no response in {self._timeout:g} s"
        except GatewayError as error:
            failure, reason = error.failure, str(error)
        except Exception as error:  # noqa: BLE001 - a library may raise anything
            # Only the type: the message may repeat the phone and the text
            failure, reason = Failure.UNKNOWN, type(error).__name__
        self._on_attempt(gateway.name, message.phone, failure, reason)
        return failure


async def _send_with_retry(gateway: Gateway, message: Message) -> None:
    try:
        await gateway.send(message)
    except GatewayError as error:
        if not error.may_retry:
            raise
        await asyncio.sleep(_RETRY_PAUSE_SECONDS)
        await gateway.send(message)
