"""Messages to phones: their texts, and handing them to the gateway, which may never answer."""

from __future__ import annotations

import asyncio
from time import monotonic

from referral import i18n
from referral.core.errors import SmsUnavailable
from referral.gateways import GatewayError, Message
from referral.service import metrics, outcomes
from referral.service.parts import Caller, Parts

# Below the 30 s after which platforms cut a request
DEADLINE_SECONDS = 20
_RETRY_AFTER = 5
_ID_BYTES = 16
# So much of the app's name keeps an English text in one SMS, a Russian one in two
_LONGEST_NAME = 24


def code(parts: Parts, phone: str, digits: str, *, caller: Caller) -> Message:
    """Brings a code. Nothing in it comes from the caller but the language.

    The code comes first, for those who read it off a notification; the last line binds it to the
    site for browsers that fill it in (https://wicg.github.io/sms-one-time-codes/).
    """
    gettext = i18n.catalogue(caller.language).gettext
    words = gettext("{code} is your code for {app}. Do not share it with anyone.")
    text = words.format(code=digits, app=_name(parts))
    return _message(parts, phone, f"{text}\n@{parts.domain} #{digits}", caller, code=digits)


def account_moved(parts: Parts, phone: str, *, caller: Caller) -> Message:
    """Tells the phone that an account had until now."""
    gettext = i18n.catalogue(caller.language).gettext
    words = gettext(
        "The account of this number at {app} now has another number. "
        "If that was not you, contact support."
    )
    return _message(parts, phone, words.format(app=_name(parts)), caller)


async def send(parts: Parts, message: Message) -> None:
    """Raises SmsUnavailable, whatever became of the gateway."""
    begun = monotonic()
    try:
        async with asyncio.timeout(DEADLINE_SECONDS):
            with parts.room.aside():
                await parts.gateway.send(message)
        metrics.GATEWAY.labels("sent").observe(monotonic() - begun)
    except Exception as error:  # noqa: BLE001 - a gateway may raise what it likes
        # Of any other error its type alone: its words may repeat the phone and the text
        why = str(error) if isinstance(error, GatewayError) else type(error).__name__
        metrics.GATEWAY.labels("failed").observe(monotonic() - begun)
        outcomes.record("send_failed", phone=message.phone, reason=why)
        raise SmsUnavailable(reason=why, retry_after=_RETRY_AFTER) from None


async def notify(parts: Parts, message: Message) -> None:
    """As `send`, where nobody waits for it: a failure is recorded, and that is all."""
    try:
        await send(parts, message)
    except SmsUnavailable:
        return


def _message(
    parts: Parts, phone: str, text: str, caller: Caller, *, code: str | None = None
) -> Message:
    return Message(
        id=f"msg_{parts.token_bytes(_ID_BYTES).hex()}",
        phone=phone,
        text=text,
        code=code,
        language=caller.language,
    )


def _name(parts: Parts) -> str:
    """The app's name on one line, whatever is in it."""
    return " ".join(parts.app_name.split())[:_LONGEST_NAME].rstrip()
