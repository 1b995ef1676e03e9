"""Gateways one after another. Each may take only so long.

A message that a gateway surely did not take goes to the next one. If nobody knows whether it was
taken, it counts as sent, and one gateway more gets it as a message of its own: twice the same code
does no harm, while none at all keeps a person out.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from referral.messaging.gateways import Failure, Gateway, GatewayError, Message

_PAUSE_SECONDS = 0.3
_MESSAGES = 2


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a message.

    has_failed: every gateway that was tried has reported a failure, none of them because of the
    phone. unused: nothing was taken of the message that was charged last, so refund it.
    """

    has_failed: bool = False
    unused: bool = False


class Chain:
    def __init__(
        self,
        gateways: Sequence[Gateway],
        *,
        seconds: float,
        told: Callable[[str, str, Failure | None, str], None],
    ) -> None:
        """seconds: how long each may take, its second try too.

        told(gateway's name, phone, failure, reason): called for each that was tried. No failure:
        it took the message.
        """
        self._gateways = gateways
        self._seconds = seconds
        self._told = told
        self.name = ",".join(gateway.name for gateway in gateways)

    @property
    def echoes_code(self) -> bool:
        return self._gateways[0].echoes_code

    async def send(self, message: Message, *, charge: Callable[[], Awaitable[bool]]) -> Result:
        """Hand over a message that is charged already.

        charge(): charge one more message; False if the phone may not get it.
        """
        failures: list[Failure] = []
        charged = 1
        for gateway in self._gateways:
            uncertain = sum(each in _UNCERTAIN for each in failures)
            if uncertain == _MESSAGES:
                break
            if uncertain == charged:
                if not await charge():
                    break
                charged += 1
            failure = await self._try(gateway, message)
            if failure is None:
                return Result()
            failures.append(failure)
        about_phone = Failure.PHONE in failures
        return Result(
            has_failed=not about_phone and Failure.NO_ANSWER not in failures,
            unused=not about_phone and sum(each in _UNCERTAIN for each in failures) < charged,
        )

    async def _try(self, gateway: Gateway, message: Message) -> Failure | None:
        failure: Failure | None = None
        why = ""
        try:
            async with asyncio.timeout(self._seconds):
                await _send_or_repeat(gateway, message)
        except TimeoutError:
            failure, why = Failure.NO_ANSWER, f"no answer in {self._seconds:g} s"
        except GatewayError as error:
            failure, why = error.failure, str(error)
        except Exception as error:  # noqa: BLE001 - a library may raise what it likes
            # Its type only: its words may repeat the phone and the text
            failure, why = Failure.UNKNOWN, type(error).__name__
        self._told(gateway.name, message.phone, failure, why)
        return failure


_UNCERTAIN = (Failure.UNKNOWN, Failure.NO_ANSWER)


async def _send_or_repeat(gateway: Gateway, message: Message) -> None:
    try:
        await gateway.send(message)
    except GatewayError as error:
        if not error.may_repeat:
            raise
        await asyncio.sleep(_PAUSE_SECONDS)
        await gateway.send(message)
