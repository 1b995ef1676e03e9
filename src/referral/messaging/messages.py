"""Write messages to phones, and send them by the channels."""

from __future__ import annotations

from collections.abc import Sequence
from time import monotonic

from referral import observability
from referral.context import Caller, Context
from referral.core.channels import Channel
from referral.i18n import N_
from referral.limits import refunds, sends
from referral.limits.sends import Charged
from referral.messaging.channels import MessageCharges, Outcome
from referral.messaging.gateways import Message
from referral.observability import metrics

_ID_BYTES = 16
# With a name of this length, an English text fits in one SMS and a Russian one in two
_MAX_NAME_LENGTH = 24

CODE = N_("{code} is your code for {app}. Do not share it with anyone.")
PHONE_CHANGED = N_(
    "Your {app} account has a new phone number. If you did not change it, contact support."
)
TEXTS = (CODE, PHONE_CHANGED)


def code(ctx: Context, phone: str, digits: str, *, caller: Caller, app_hash: str = "") -> Message:
    """Write the message that brings a code. Only its language comes from the caller.

    app_hash: of the Android app that reads it, empty for browsers.
    """
    return _message(ctx, phone, CODE, caller, code=digits, app_hash=app_hash)


def phone_changed(ctx: Context, phone: str, *, caller: Caller) -> Message:
    """Write the notice to an account's previous phone, after the phone was changed."""
    return _message(ctx, phone, PHONE_CHANGED, caller)


def text(words: str, *, app_name: str, domain: str, code: str | None, app_hash: str = "") -> str:
    """Fill in a translated text of TEXTS.

    The code comes first in it, so that a notification shows it. The last line, which no translation
    changes, binds it to the site, for browsers that fill it in
    (https://wicg.github.io/sms-one-time-codes/), or to an Android app
    (https://developers.google.com/identity/sms-retriever/verify).
    """
    name = " ".join(app_name.split())[:_MAX_NAME_LENGTH].rstrip()
    filled = words.format(code=code, app=name)
    last_line = app_hash or f"@{domain} #{code}"
    return filled if "{code}" not in words else f"{filled}\n{last_line}"


async def send(
    ctx: Context, message: Message, plan: Sequence[Channel], *, charges: MessageCharges
) -> Outcome:
    """Send a message that has been charged already. See `Channels.send`."""
    started = monotonic()
    with ctx.limiter.suspended():
        outcome = await ctx.channels.send(message, plan, charges=charges)
    result = outcome.result
    label = "failed" if result.has_failed else "sent"
    metrics.GATEWAY_SECONDS.labels(label).observe(monotonic() - started)
    if result.has_failed:
        observability.record("send_failed", phone=message.phone, counted=not result.is_refundable)
    return outcome


async def notify(ctx: Context, message: Message) -> None:
    """Send a message that no limit can refuse, by SMS. A failure is only recorded."""
    if Channel.SMS not in ctx.channels.rules.available:
        observability.record("notice_not_sent", phone=message.phone, reason="no SMS gateway")
        return
    charges = _NoticeCharges(ctx, await sends.count_notice(ctx, message.phone))
    outcome = await send(ctx, message, [Channel.SMS], charges=charges)
    if outcome.result.is_refundable:
        await charges.refund()


class _NoticeCharges:
    """The charges of a notice."""

    def __init__(self, ctx: Context, charged: Charged) -> None:
        self._ctx, self._charged = ctx, [charged]

    async def charge(self) -> bool:
        self._charged.append(await sends.count_notice(self._ctx, self._charged[0].scope.phone))
        return True

    async def refund(self) -> bool:
        await refunds.refund_notice(self._ctx, self._charged[-1])
        return len(self._charged) == 1

    async def charge_to(self, _: Channel) -> bool:
        return True

    def receipt_for(self, _: Channel) -> str:
        return ""

    async def record_channel(self, _: Channel) -> None:
        """Record nothing, since a notice has no code."""


def _message(
    ctx: Context,
    phone: str,
    msgid: str,
    caller: Caller,
    *,
    code: str | None = None,
    app_hash: str = "",
) -> Message:
    words = ctx.languages[caller.language].gettext(msgid)
    return Message(
        id=f"msg_{ctx.token_bytes(_ID_BYTES).hex()}",
        phone=phone,
        text=text(words, app_name=ctx.app_name, domain=ctx.domain, code=code, app_hash=app_hash),
        code=code,
        language=caller.language,
    )
