"""The WhatsApp Cloud API: codes in the team's own authentication template.

https://developers.facebook.com/documentation/business-messaging/whatsapp/templates/authentication-templates/authentication-templates
"""

from __future__ import annotations

import hmac
import json
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from urllib.parse import unquote

import msgspec

from referral.messaging.gateways import (
    Failure,
    GatewayError,
    Message,
    failure_for_status,
    provider_url,
)
from referral.messaging.gateways import reports as delivery
from referral.messaging.gateways.post import Poster, Response
from referral.messaging.gateways.reports import MalformedReportError, Report

SCHEMES = ("whatsapp+cloud",)

_API = "https://graph.facebook.com"
# Of 29 July 2026. A version is served for two years, and its requests by a later one after that:
# https://developers.facebook.com/docs/graph-api/changelog/versions/
_VERSION = "v26.0"
_TEXT = re.compile(r"([^:/@#]+):([^:/@#]+)@([0-9]{5,20})/([a-z0-9_]{1,512})")
_LANGUAGE = re.compile(r"[a-z]{2,3}(_[A-Z]{2})?")
# An app gets the reports of all messages of its number; this tells ours from others
_MARK = "referral"
_MAX_SHOWN_CODE = 999_999
_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{1,128}")

# https://developers.facebook.com/documentation/business-messaging/whatsapp/support/error-codes
_ABOUT_PHONE = (
    130472,  # the phone takes part in an experiment
    131021,  # the phone is the sender's own
    131026,  # the phone cannot get it: no WhatsApp, an old version
    131030,  # the phone is not on the list of a test number
    131047,  # the phone's person did not write within 24 hours
    131049,  # Meta chose not to deliver it to this phone
    131050,  # the phone's person stopped messages
    131056,  # too many messages from this sender to this phone
)
_NOT_TAKEN = (
    # Authorization
    *(0, 3, 10, 190, *range(200, 300), 131005),
    # Rates and limits of the account
    *(4, 80007, 130429, 131048, 131064, 133016),
    # Restrictions of the account, the last one for a whole country
    *(368, 131031, 130497),
    # Its billing, its phone number, maintenance
    *(131042, 131037, 131045, 131057, 33),
    *(133000, 133005, 133006, 133008, 133009, 133010, 133015),
    # The request, which differs between phones only in the phone, already checked
    *(100, 131008, 131009, 131051, 131052, 131053, 135000),
    # The template
    *(131063, 132000, 132001, 132005, 132007, 132012, 132015, 132016, 132018, 132068, 132069),
)
# A failure of the service, after which a message may still arrive
_UNKNOWN = (1, 2, 131000, 131016, 133004)
_FAILURES = {
    **dict.fromkeys(_ABOUT_PHONE, Failure.PHONE),
    **dict.fromkeys(_NOT_TAKEN, Failure.NOT_TAKEN),
    **dict.fromkeys(_UNKNOWN, Failure.UNKNOWN),
}
# Of an accepted message; one whose template is paced may be dropped later, and is then reported as
# failed
_MESSAGE_STATUSES = {
    "held_for_quality_assessment": Failure.UNKNOWN,
    "paused": Failure.UNKNOWN,
}

# "read" may come without "delivered":
# https://developers.facebook.com/documentation/business-messaging/whatsapp/webhooks/reference/messages/status
_DELIVERED = ("delivered", "read")


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """The team's app, number and template, and the origin of the API.

    languages: in which the template is approved, as Meta writes them. The first is used for others.
    """

    token: str = field(repr=False)
    app_secret: str = field(repr=False)
    phone_number_id: str
    template: str
    languages: tuple[str, ...]
    api: str


def check(url: str, *, production: bool) -> None:  # noqa: ARG001 - the same in both
    """Check a URL, as `registry.Check` says."""
    parse(url)


def parse(url: str) -> Credentials:
    """Parse `whatsapp+cloud://TOKEN:APP_SECRET@PHONE_NUMBER_ID/TEMPLATE?languages=en,ru`.

    Raises ValueError, whose text shows nothing of the URL.
    """
    try:
        text, parameters = provider_url.split(url, parameters=("languages", "api"))
        api = provider_url.origin(parameters, _API)
    except ValueError as error:
        raise ValueError(f"whatsapp+cloud:// {error}") from None
    match = _TEXT.fullmatch(text)
    token, app_secret = (provider_url.secret(match[n]) for n in (1, 2)) if match else (None, None)
    if not match or not token or not app_secret:
        raise ValueError(
            "whatsapp+cloud:// needs the token and the secret of the app, the ID of the phone "
            "number and the name of an authentication template: "
            "whatsapp+cloud://TOKEN:APP_SECRET@PHONE_NUMBER_ID/TEMPLATE?languages=en,ru"
        )
    languages = parameters.get("languages", "").replace("-", "_").split(",")
    if not all(_LANGUAGE.fullmatch(language) for language in languages):
        raise ValueError(
            "whatsapp+cloud:// needs the languages in which the template is approved, such as "
            "?languages=en,pt_BR; the first is used for all others"
        )
    return Credentials(
        token=token,
        app_secret=app_secret,
        phone_number_id=match[3],
        template=unquote(match[4]),
        languages=tuple(languages),
        api=api,
    )


def verify_token(secret: bytes) -> str:
    """Derive the verify token of Meta's handshake from a secret."""
    return hmac.digest(secret, b"whatsapp verify token", "sha256").hex()


def answer_handshake(query: Mapping[str, str], *, expected: str) -> str | None:
    """Return the text that answers Meta's handshake, or None if it has not this verify token.

    https://developers.facebook.com/docs/graph-api/webhooks/getting-started#verification-requests
    """
    token, text = query.get("hub.verify_token", ""), query.get("hub.challenge", "")
    is_right = hmac.compare_digest(token.encode(), expected.encode())
    if is_right and query.get("hub.mode") == "subscribe" and _CHALLENGE.fullmatch(text):
        return text
    return None


class _SentMessage(msgspec.Struct):
    id: str
    message_status: str = ""


class _Accepted(msgspec.Struct):
    messages: list[_SentMessage]


class _Error(msgspec.Struct):
    code: int


class _Refused(msgspec.Struct):
    error: _Error


class WhatsAppCloud:
    """Sends codes in an authentication template, as POST /PHONE_NUMBER_ID/messages."""

    name = SCHEMES[0]
    echoes_code = False

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials
        self._url = f"{credentials.api}/{_VERSION}/{credentials.phone_number_id}/messages"
        self._poster = Poster()

    async def send(self, message: Message) -> None:
        """Send a code. WhatsApp writes the text, in the template's language."""
        if message.code is None:
            raise GatewayError("sends only codes", Failure.NOT_TAKEN)
        parameters = [{"type": "text", "text": message.code}]
        fields = {
            "messaging_product": "whatsapp",
            "recipient_type": "individual",
            "to": message.phone,
            "type": "template",
            "template": {
                "name": self._credentials.template,
                "language": {
                    "code": _template_language(message.language, self._credentials.languages)
                },
                "components": [
                    {"type": "body", "parameters": parameters},
                    # The button that copies the code is a URL button for the API
                    {"type": "button", "sub_type": "url", "index": "0", "parameters": parameters},
                ],
            },
            "biz_opaque_callback_data": f"{_MARK}:{message.receipt}",
        }
        response = await self._poster.post(
            self._url,
            json.dumps(fields),
            {
                "Content-Type": "application/json",
                "Authorization": f"Bearer {self._credentials.token}",
            },
        )
        if not response.is_success:
            raise _error(response)
        accepted = response.parse(_Accepted)
        if accepted is None or not accepted.messages:
            raise GatewayError(f"status {response.status}, unreadable response", Failure.UNKNOWN)
        status = accepted.messages[0].message_status
        if failure := _MESSAGE_STATUSES.get(status):
            raise GatewayError(f"message status {status}", failure)


def _template_language(language: str, approved: tuple[str, ...]) -> str:
    """Return the approved language for a message: the same, another of its kind, or the first."""
    wanted = language.replace("-", "_")
    if wanted in approved:
        return wanted
    primary = wanted.partition("_")[0]
    return next((each for each in approved if each.partition("_")[0] == primary), approved[0])


def _error(response: Response) -> GatewayError:
    status, refused = response.status, response.parse(_Refused)
    if refused is None:
        failure = Failure.NOT_TAKEN if response.is_refusal else Failure.UNKNOWN
        return GatewayError(f"status {status}, unreadable response", failure)
    code = refused.error.code
    failure = _FAILURES.get(code, failure_for_status(status))
    # A longer number is no code of Meta's, but perhaps a phone
    return GatewayError(
        f"error {code}" if 0 <= code <= _MAX_SHOWN_CODE else f"status {status}", failure
    )


class _Status(msgspec.Struct):
    id: str
    status: str
    recipient_id: str | None = None
    biz_opaque_callback_data: str | None = None


class _Value(msgspec.Struct):
    statuses: list[_Status] = []


class _Change(msgspec.Struct):
    field: str
    value: msgspec.Raw


class _Entry(msgspec.Struct):
    changes: list[_Change] = []


class _Event(msgspec.Struct):
    entry: list[_Entry]


def reports(headers: Mapping[str, str], body: bytes, *, credentials: Credentials) -> list[Report]:
    """Return the delivery reports of our codes in a webhook request, which may have none.

    headers: by their names in lower case. Raises ReportError if the request is not Meta's.
    """
    expected = hmac.digest(credentials.app_secret.encode(), body, "sha256").hex()
    delivery.require_signature(headers.get("x-hub-signature-256", ""), f"sha256={expected}")
    event = delivery.parse(body, _Event)
    found = (
        _report(status)
        for entry in event.entry
        for change in entry.changes
        if change.field == "messages"
        for status in delivery.parse(bytes(change.value), _Value).statuses
    )
    return [report for report in found if report]


def _report(status: _Status) -> Report | None:
    """Return the report in a status; None if it is about no code of ours, or names no phone."""
    mark, _, receipt = (status.biz_opaque_callback_data or "").partition(":")
    if mark != _MARK:
        return None
    with suppress(MalformedReportError):
        return Report(
            id=status.id,
            phone=delivery.parse_phone(status.recipient_id or ""),
            is_delivered=status.status in _DELIVERED,
            is_unbilled=status.status == "failed",
            receipt=receipt,
        )
    return None
