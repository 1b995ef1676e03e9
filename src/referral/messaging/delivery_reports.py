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
from referral.limits import counters, gcra, refunds
from referral.limits.counters import Advance
from referral.limits.scope import counter_key
from referral.messaging.gateways import whatsapp_reports
from referral.messaging.gateways.providers import PROVIDERS, Provider
from referral.messaging.gateways.reports import Report, ReportRequest

# Meta repeats a report for 7 days until it is acknowledged
_REMEMBERED = timedelta(days=8)


def require_provider(ctx: Context, name: str) -> None:
    """Raise NotFound unless the provider with this name is set up."""
    _find(ctx, name)


async def receive(ctx: Context, name: str, request: ReportRequest) -> None:
    """Receive the delivery reports in a request. name: of the provider.

    Raises NotFound if the provider is not set up, ReportError if the request is not its own or is
    malformed.
    """
    provider, url = _find(ctx, name)
    for report in provider.parse_reports(url, request):
        if report.is_delivered and await _is_first_delivery(
            ctx, provider.channel, report, request.now
        ):
            ctx.deliveries.count_delivered(report.phone, provider.channel, request.now)
        if report.is_unbilled:
            await refunds.refund_unbilled(ctx, report.receipt)


def confirm(ctx: Context, name: str, query: dict[str, str]) -> str | None:
    """Return the text that answers Meta's handshake; None if it has a wrong verify token.

    Raises NotFound unless the name is WhatsApp's and it is set up.
    """
    provider, _ = _find(ctx, name)
    if provider.channel is not Channel.WHATSAPP:
        raise NotFound
    keys = ctx.keys.all(Purpose.HANDSHAKE)
    return whatsapp_reports.answer_handshake(
        query, *(whatsapp_reports.verify_token(key.secret) for key in keys)
    )


def _find(ctx: Context, name: str) -> tuple[Provider, str]:
    for provider in PROVIDERS:
        if provider.name == name and (url := ctx.channels.urls.get(provider.channel)):
            return provider, url
    raise NotFound


async def _is_first_delivery(ctx: Context, channel: Channel, report: Report, now: datetime) -> bool:
    """Return whether a message was not reported as delivered before, and remember it."""
    key = counter_key(ctx.counter_key, f"delivered|{channel}|{report.id}")
    until = gcra.microseconds(now + _REMEMBERED)
    return await counters.advance(Advance(key, until, below=gcra.microseconds(now)))
