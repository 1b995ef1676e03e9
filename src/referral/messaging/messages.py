"""Write messages to phones, and send them through a gateway, which may never respond."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic

from referral import observability
from referral.context import Caller, Context
from referral.i18n import N_
from referral.limits import sends
from referral.messaging.gateways import Message
from referral.messaging.gateways.chain import SendResult
from referral.observability import metrics

# Below the 30 s after which hosting platforms cut a request
DEADLINE_SECONDS = 20
_ID_BYTES = 16
# With a name of this length, an English text fits in one SMS and a Russian one in two
_MAX_NAME_LENGTH = 24

CODE = N_("{code} is your code for {app}. Do not share it with anyone.")
PHONE_CHANGED = N_(
    "Your {app} account has a new phone number. If you did not change it, contact support."
)
TEXTS = (CODE, PHONE_CHANGED)


def code(ctx: Context, phone: str, digits: str, *, caller: Caller) -> Message:
    """Write the message that brings a code. Only its language comes from the caller."""
    return _message(ctx, phone, CODE, caller, code=digits)


def phone_changed(ctx: Context, phone: str, *, caller: Caller) -> Message:
    """Write the notice to an account's previous phone, after the phone was changed."""
    return _message(ctx, phone, PHONE_CHANGED, caller)


def text(words: str, *, app_name: str, domain: str, code: str | None) -> str:
    """Fill in a translated text of TEXTS.

    The code comes first in it, so that a notification shows it. The last line, which no translation
    changes, binds it to the site, for browsers that fill it in
    (https://wicg.github.io/sms-one-time-codes/).
    """
    name = " ".join(app_name.split())[:_MAX_NAME_LENGTH].rstrip()
    filled = words.format(code=code, app=name)
    return filled if "{code}" not in words else f"{filled}\n@{domain} #{code}"


async def send(
    ctx: Context, message: Message, *, charge: Callable[[], Awaitable[bool]]
) -> SendResult:
    """Send a message that has been charged already. charge(): see `Chain.send`."""
    started = monotonic()
    deadline = asyncio.timeout(DEADLINE_SECONDS)
    try:
        async with deadline:
            with ctx.limiter.suspended():
                result = await ctx.gateway.send(message, charge=charge)
    except TimeoutError:
        if not deadline.expired():
            raise
        # The message may still arrive
        result = SendResult()
    outcome = "failed" if result.has_failed else "sent"
    metrics.GATEWAY_SECONDS.labels(outcome).observe(monotonic() - started)
    if result.has_failed:
        observability.record("send_failed", phone=message.phone, counted=not result.refundable)
    return result


async def notify(ctx: Context, message: Message) -> None:
    """Send a message that no limit can refuse. A failure is only recorded."""
    charged = [await sends.count_notice(ctx, message.phone)]

    async def charge() -> bool:
        charged.append(await sends.count_notice(ctx, message.phone))
        return True

    result = await send(ctx, message, charge=charge)
    if result.refundable:
        await sends.refund_notice(ctx, charged[-1])


def _message(
    ctx: Context, phone: str, msgid: str, caller: Caller, *, code: str | None = None
) -> Message:
    words = ctx.languages[caller.language].gettext(msgid)
    return Message(
        id=f"msg_{ctx.token_bytes(_ID_BYTES).hex()}",
        phone=phone,
        text=text(words, app_name=ctx.app_name, domain=ctx.domain, code=code),
        code=code,
        language=caller.language,
    )
