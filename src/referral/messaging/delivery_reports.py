"""Receiving delivery reports: counting delivered messages, and refunding those not billed.

A report starts nothing else: a person whose code did not arrive asks for another channel. A
provider may repeat its reports, so each message is counted and refunded once.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from referral.context import Context
from referral.core.channels import Channel
from referral.core.errors import NotFound
from referral.core.keys import Purpose
from referral.limits import counters, gcra, sends
from referral.limits.counters import Advance
from referral.limits.scope import counter_key
from referral.messaging.gateways import whatsapp
from referral.messaging.gateways.providers import PROVIDERS, Provider, Request
from referral.messaging.gateways.reports import Outcome, Report

# Meta repeats a report for 7 days until it is acknowledged
_REMEMBERED = timedelta(days=8)


async def receive(ctx: Context, name: str, request: Request) -> None:
    """Receive the delivery reports in a request. name: of the provider.

    Raises NotFound if the provider is not set up, ReportError if the request is not its own.
    """
    provider, url = _find(ctx, name)
    for report in provider.reports(url, request):
        await _receive(ctx, provider.channel, report, request.now)


def confirm(ctx: Context, name: str, query: dict[str, str]) -> str | None:
    """Return the text that answers Meta's handshake; None if it has a wrong verify token.

    Raises NotFound unless the name is WhatsApp's and it is set up.
    """
    provider, _ = _find(ctx, name)
    if provider.channel is not Channel.WHATSAPP:
        raise NotFound
    found = (
        whatsapp.challenge(query, expected=whatsapp.verify_token(key.secret))
        for key in ctx.keys.all(Purpose.HANDSHAKE)
    )
    return next(filter(None, found), None)


def _find(ctx: Context, name: str) -> tuple[Provider, str]:
    for provider in PROVIDERS:
        if provider.name == name and (url := ctx.channels.urls.get(provider.channel)):
            return provider, url
    raise NotFound


async def _receive(ctx: Context, channel: Channel, report: Report, now: datetime) -> None:
    if report.outcome is Outcome.DELIVERED and await _is_first(
        ctx, channel, report, "delivered", now
    ):
        ctx.deliveries.count_delivered(report.phone, channel, now)
    if report.is_unbilled and await _is_first(ctx, channel, report, "unbilled", now):
        sends.refund_unbilled(ctx, report.phone, report.receipt)


async def _is_first(
    ctx: Context, channel: Channel, report: Report, event: str, now: datetime
) -> bool:
    """Return whether a message had no such report before, and remember this one."""
    key = counter_key(ctx.counter_key, f"{event}|{channel}|{report.id}")
    until = gcra.microseconds(now + _REMEMBERED)
    return await counters.advance(Advance(key, until, below=gcra.microseconds(now)))
