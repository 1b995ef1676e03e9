"""Gateways one after another: the next is tried when one fails, and none takes for ever."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from referral.gateways import Gateway, GatewayError, Message

_PAUSE_SECONDS = 0.3


class Chain:
    echoes_code = False

    def __init__(
        self,
        gateways: Sequence[Gateway],
        *,
        seconds: float,
        failed: Callable[[str, str, str], None],
    ) -> None:
        """seconds: how long each may take, its second try too.

        failed(gateway's name, phone, reason): told of each that fails.
        """
        self._gateways = gateways
        self._seconds = seconds
        self._failed = failed
        self.name = ",".join(gateway.name for gateway in gateways)

    async def send(self, message: Message) -> None:
        """Raises GatewayError where every gateway failed."""
        for gateway in self._gateways:
            try:
                async with asyncio.timeout(self._seconds):
                    await _send_or_repeat(gateway, message)
            except TimeoutError:
                # It may have sent the message all the same. Twice the same code does no harm,
                # none at all does
                why = f"no answer in {self._seconds:g} s"
            except GatewayError as error:
                why = str(error)
            except Exception as error:  # noqa: BLE001 - a library may raise what it likes
                why = type(error).__name__
            else:
                return
            self._failed(gateway.name, message.phone, why)
        raise GatewayError("every gateway failed")


async def _send_or_repeat(gateway: Gateway, message: Message) -> None:
    try:
        await gateway.send(message)
    except GatewayError as error:
        if not error.may_repeat:
            raise
        await asyncio.sleep(_PAUSE_SECONDS)
        await gateway.send(message)
