"""Messages to phones: their texts, and handing them to the gateway, which may never answer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic

from referral import i18n, observability
from referral.context import Caller, Context
from referral.limits import sends
from referral.messaging.gateways import Message
from referral.messaging.gateways.chain import Result
from referral.observability import metrics

# Below the 30 s after which platforms cut a request
DEADLINE_SECONDS = 20
_ID_BYTES = 16
# So much of the app's name keeps an English text in one SMS, a Russian one in two
_LONGEST_NAME = 24


def code(ctx: Context, phone: str, digits: str, *, caller: Caller) -> Message:
    """Brings a code. Nothing in it comes from the caller but the language.

    The code comes first, for those who read it off a notification; the last line binds it to the
    site for browsers that fill it in (https://wicg.github.io/sms-one-time-codes/).
    """
    gettext = i18n.catalogue(caller.language).gettext
    words = gettext("{code} is your code for {app}. Do not share it with anyone.")
    text = words.format(code=digits, app=_name(ctx))
    return _message(ctx, phone, f"{text}\n@{ctx.domain} #{digits}", caller, code=digits)


def account_moved(ctx: Context, phone: str, *, caller: Caller) -> Message:
    """Tells the phone that an account had until now."""
    gettext = i18n.catalogue(caller.language).gettext
    words = gettext(
        "The account of this number at {app} now has another number. "
        "If that was not you, contact support."
    )
    return _message(ctx, phone, words.format(app=_name(ctx)), caller)


async def send(ctx: Context, message: Message, *, charge: Callable[[], Awaitable[bool]]) -> Result:
    """Hand over a message that is charged already. charge(): see Chain.send."""
    begun = monotonic()
    deadline = asyncio.timeout(DEADLINE_SECONDS)
    try:
        async with deadline:
            with ctx.limiter.suspended():
                result = await ctx.gateway.send(message, charge=charge)
    except TimeoutError:
        if not deadline.expired():
            raise
        # It may still arrive
        result = Result()
    outcome = "failed" if result.has_failed else "sent"
    metrics.GATEWAY.labels(outcome).observe(monotonic() - begun)
    if result.has_failed:
        observability.record("send_failed", phone=message.phone, counted=not result.unused)
    return result


async def notify(ctx: Context, message: Message) -> None:
    """Send a message that no limit holds back. A failure is recorded, and that is all."""
    charged = [await sends.count_notice(ctx, message.phone)]

    async def charge() -> bool:
        charged.append(await sends.count_notice(ctx, message.phone))
        return True

    result = await send(ctx, message, charge=charge)
    if result.unused:
        await sends.refund_notice(ctx, charged[-1])


def _message(
    ctx: Context, phone: str, text: str, caller: Caller, *, code: str | None = None
) -> Message:
    return Message(
        id=f"msg_{ctx.token_bytes(_ID_BYTES).hex()}",
        phone=phone,
        text=text,
        code=code,
        language=caller.language,
    )


def _name(ctx: Context) -> str:
    """The app's name on one line, whatever is in it."""
    return " ".join(ctx.app_name.split())[:_LONGEST_NAME].rstrip()
