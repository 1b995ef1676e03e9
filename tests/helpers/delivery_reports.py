"""Delivery reports of the providers, with their signatures."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

import httpx

from channels import Providers
from fake_gateways import (
    CALL_SID,
    TELEGRAM_TOKEN,
    TWILIO_SENDER,
    TWILIO_SID,
    VOICE_TOKEN,
    WHATSAPP_MESSAGE_ID,
    WHATSAPP_NUMBER_ID,
    WHATSAPP_SECRET,
)
from support import Service

# Telegram reports only to https
PUBLIC_URL = "https://app.example"

Fields = list[tuple[str, str]]


def request_status(**changed: Any) -> bytes:
    """Return a RequestStatus: https://core.telegram.org/gateway/api#requeststatus."""
    fields = {
        "request_id": "1234567890",
        "phone_number": "+79995550199",
        "request_cost": 0.01,
        "delivery_status": {"status": "delivered", "updated_at": 1_796_040_000},
        "payload": "receipt_1",
        "later": {"than": "today"},
    }
    return json.dumps(fields | changed).encode()


def sign_as_telegram(body: bytes, *, at: datetime, token: str = TELEGRAM_TOKEN) -> dict[str, str]:
    """Sign as https://core.telegram.org/gateway/api#checking-report-integrity describes."""
    timestamp = str(int(at.timestamp()))
    key = hashlib.sha256(token.encode()).digest()
    signature = hmac.new(key, timestamp.encode() + b"\n" + body, hashlib.sha256).hexdigest()
    return {"x-request-timestamp": timestamp, "x-request-signature": signature}


def message_status(**changed: Any) -> dict[str, Any]:
    """Return a status, as in the reference of the status messages webhook.

    https://developers.facebook.com/documentation/business-messaging/whatsapp/webhooks/reference/messages/status
    """
    return {
        "id": WHATSAPP_MESSAGE_ID,
        "status": "delivered",
        "timestamp": "1796040000",
        "recipient_id": "79995550199",
        "pricing": {"billable": True, "pricing_model": "PMP", "category": "authentication"},
        "biz_opaque_callback_data": "referral:receipt_1",
        **changed,
    }


def whatsapp_event(*statuses: dict[str, Any], field: str = "messages") -> bytes:
    """Return the body of a webhook request of Meta's with these statuses."""
    value = {
        "messaging_product": "whatsapp",
        "metadata": {"display_phone_number": "15005550007", "phone_number_id": WHATSAPP_NUMBER_ID},
        "statuses": statuses,
    }
    changes = [{"value": value, "field": field}]
    entry = [{"id": "102290129340398", "time": 1, "changes": changes}]
    return json.dumps({"object": "whatsapp_business_account", "entry": entry}).encode()


def sign_as_meta(body: bytes, *, secret: str = WHATSAPP_SECRET) -> dict[str, str]:
    digest = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    return {"x-hub-signature-256": f"sha256={digest}"}


def call_status(**changed: str) -> Fields:
    """Return the fields of a callback.

    https://www.twilio.com/docs/voice/api/call-resource#statuscallback
    """
    fields = {
        "CallSid": CALL_SID,
        "AccountSid": TWILIO_SID,
        "From": TWILIO_SENDER,
        "To": "+79995550199",
        "CallStatus": "completed",
        "CallDuration": "24",
        "ToCity": "",
        "CallbackSource": "call-progress-events",
    }
    return [*(fields | changed).items()]


def encode_form(fields: Fields) -> bytes:
    return urlencode(fields).encode()


def sign_as_twilio(fields: Fields, *, url: str, token: str = VOICE_TOKEN) -> dict[str, str]:
    """Sign as https://www.twilio.com/docs/usage/security#validating-requests describes."""
    text = url + "".join(name + value for name, value in sorted(fields))
    digest = hmac.new(token.encode(), text.encode(), hashlib.sha1).digest()
    return {"x-twilio-signature": base64.b64encode(digest).decode()}


class Reporter:
    """The providers, which report to a service what became of messages."""

    def __init__(self, service: Service, fakes: Providers) -> None:
        self._service, self._fakes = service, fakes

    async def telegram(self, message: int = -1, **changed: Any) -> httpx.Response:
        """Report about one of the messages, by default the last one."""
        jsons = self._fakes.telegram.jsons
        sent = jsons[message]
        fields = {
            "request_id": f"request {message % len(jsons)}",
            "phone_number": sent["phone_number"],
            "payload": sent["payload"],
        }
        body = request_status(**fields | changed)
        return await self.post("telegram", body, sign_as_telegram(body, at=self._service.clock()))

    async def whatsapp(self, message: int = -1, **changed: Any) -> httpx.Response:
        """Report about one of the messages, by default the last one."""
        return await self.statuses(self.status(message, **changed))

    def status(self, message: int = -1, **changed: Any) -> dict[str, Any]:
        jsons = self._fakes.whatsapp.jsons
        sent = jsons[message]
        fields = {
            "id": f"wamid.{message % len(jsons)}",
            "recipient_id": sent["to"].lstrip("+"),
            "biz_opaque_callback_data": sent["biz_opaque_callback_data"],
        }
        return message_status(**fields | changed)

    async def statuses(self, *statuses: dict[str, Any]) -> httpx.Response:
        body = whatsapp_event(*statuses)
        return await self.post("whatsapp", body, sign_as_meta(body))

    async def twilio(self, **changed: str) -> httpx.Response:
        fields = call_status(**changed)
        url = f"{PUBLIC_URL}/hooks/delivery/twilio"
        headers = sign_as_twilio(fields, url=url) | {
            "content-type": "application/x-www-form-urlencoded"
        }
        return await self.post("twilio", encode_form(fields), headers)

    async def post(
        self, provider: str, body: bytes, headers: dict[str, str] | None = None
    ) -> httpx.Response:
        return await self._service.http.post(
            f"/hooks/delivery/{provider}", content=body, headers=headers
        )
