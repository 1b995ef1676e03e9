"""Delivery reports of the WhatsApp Cloud API, and the handshake that confirms where they go.

https://developers.facebook.com/documentation/business-messaging/whatsapp/webhooks/reference/messages/status
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Mapping
from contextlib import suppress

import msgspec

from referral.messaging.gateways import reports
from referral.messaging.gateways.reports import MalformedReportError, Report, ReportRequest
from referral.messaging.gateways.whatsapp import MARK, Credentials

_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{1,128}")
# "read" may come without "delivered"
_DELIVERED = ("delivered", "read")


def verify_token(secret: bytes) -> str:
    """Derive the verify token of Meta's handshake from a secret."""
    return hmac.digest(secret, b"whatsapp verify token", "sha256").hex()


def answer_handshake(query: Mapping[str, str], *expected: str) -> str | None:
    """Return the text that answers Meta's handshake, or None if it has none of these verify tokens.

    https://developers.facebook.com/docs/graph-api/webhooks/getting-started#verification-requests
    """
    token, text = query.get("hub.verify_token", ""), query.get("hub.challenge", "")
    matches = [hmac.compare_digest(token.encode(), each.encode()) for each in expected]
    if any(matches) and query.get("hub.mode") == "subscribe" and _CHALLENGE.fullmatch(text):
        return text
    return None


class _Status(msgspec.Struct):
    id: str
    status: str
    recipient_id: str | None = None
    biz_opaque_callback_data: str | None = None


class _Value(msgspec.Struct):
    statuses: list[msgspec.Raw] = []


class _Change(msgspec.Struct):
    field: str
    value: msgspec.Raw


class _Entry(msgspec.Struct):
    changes: list[_Change] = []


class _Event(msgspec.Struct):
    entry: list[_Entry]


def parse_reports(request: ReportRequest, credentials: Credentials) -> list[Report]:
    """Return the delivery reports of our codes in a webhook request, which may have none.

    Raises ReportError if the request is not Meta's or malformed.
    """
    expected = hmac.digest(credentials.app_secret.encode(), request.body, "sha256").hex()
    reports.require_signature(request.header("x-hub-signature-256"), f"sha256={expected}")
    event = reports.parse(request.body, _Event)
    found = (
        _report(status)
        for entry in event.entry
        for change in entry.changes
        if change.field == "messages"
        for status in reports.parse(bytes(change.value), _Value).statuses
    )
    return [report for report in found if report]


def _report(raw: msgspec.Raw) -> Report | None:
    """Return the report in a status; None if it is about no code of ours, or cannot be read.

    One that cannot be read must not keep others of the same request from being counted.
    """
    with suppress(MalformedReportError):
        status = reports.parse(bytes(raw), _Status)
        mark, _, receipt = (status.biz_opaque_callback_data or "").partition(":")
        if mark != MARK:
            return None
        return Report(
            id=status.id,
            phone=reports.parse_phone(status.recipient_id or ""),
            is_delivered=status.status in _DELIVERED,
            is_unbilled=status.status == "failed",
            receipt=receipt,
        )
    return None
