"""The Telegram Gateway: codes as messages of Telegram's own account "Verification Codes".

https://core.telegram.org/gateway/api
"""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import dataclass, field

import msgspec

from referral.messaging.gateways import Failure, GatewayError, Message, provider_url, reports
from referral.messaging.gateways.post import Poster, Response
from referral.messaging.gateways.reports import Report, ReportError, ReportRequest

SCHEME = "telegram+gateway"

_API = "https://gatewayapi.telegram.org"
_MIN_TTL, _MAX_TTL = 30, 3600  # sendVerificationMessage, `ttl`
_MAX_AGE_SECONDS = 300
_TIMESTAMP = re.compile(r"[0-9]{1,12}")
_ERROR_NAME = re.compile(r"[A-Z_]{1,64}")

# The reference names only ACCESS_TOKEN_INVALID; the others are those that a client library knows:
# https://github.com/apifonica/tg-gateway-go/blob/main/errors.go
_FAILURES = {
    "ACCESS_TOKEN_INVALID": Failure.NOT_TAKEN,
    "ACCESS_TOKEN_REQUIRED": Failure.NOT_TAKEN,
    "BALANCE_NOT_ENOUGH": Failure.NOT_TAKEN,
    "CALLBACK_URL_INVALID": Failure.NOT_TAKEN,
    "CODE_INVALID": Failure.NOT_TAKEN,
    "CODE_LENGTH_INVALID": Failure.NOT_TAKEN,
    "CODE_LENGTH_REQUIRED": Failure.NOT_TAKEN,
    "FLOOD_WAIT": Failure.NOT_TAKEN,
    "PAYLOAD_INVALID": Failure.NOT_TAKEN,
    "REQUEST_ID_INVALID": Failure.NOT_TAKEN,
    "REQUEST_ID_REQUIRED": Failure.NOT_TAKEN,
    "SENDER_NOT_OWNED": Failure.NOT_TAKEN,
    "SENDER_NOT_VERIFIED": Failure.NOT_TAKEN,
    "SENDER_USERNAME_INVALID": Failure.NOT_TAKEN,
    "TTL_INVALID": Failure.NOT_TAKEN,
    "UNKNOWN_METHOD": Failure.NOT_TAKEN,
    "PHONE_NUMBER_INVALID": Failure.PHONE,
    "PHONE_NUMBER_MISMATCH": Failure.PHONE,
    "PHONE_NUMBER_NOT_AVAILABLE": Failure.PHONE,
    "PHONE_NUMBER_NOT_FOUND": Failure.PHONE,
    "MESSAGE_ALREADY_SENT": Failure.NO_ANSWER,
}
# Of errors that are not listed, those about the recipient
_ABOUT_PHONE = ("PHONE_", "USER_")

# Of DeliveryStatus
_DELIVERED = ("delivered", "read")


@dataclass(frozen=True, slots=True)
class Credentials:
    """The token of the team's Gateway account, and the origin of the API."""

    token: str = field(repr=False)
    api: str


def parse(url: str) -> Credentials:
    """Parse `telegram+gateway://TOKEN`.

    Raises ValueError, whose text shows nothing of the URL.
    """
    text, _, api = provider_url.split(url, scheme=SCHEME, api=_API)
    token = None if re.search("[/@#]", text) else provider_url.secret(text)
    if not token:
        raise ValueError(
            "telegram+gateway:// needs the API token of https://gateway.telegram.org/account/api, "
            f"and nothing after it: telegram+gateway://TOKEN; {provider_url.SECRETS}"
        )
    return Credentials(token, api)


class _Answer(msgspec.Struct):
    ok: bool
    error: str = ""


class TelegramGateway:
    """Sends codes through the method sendVerificationMessage."""

    name = SCHEME
    echoes_code = False

    def __init__(
        self, credentials: Credentials, *, ttl: int, callback_url: str | None = None
    ) -> None:
        """ttl: for how many seconds a code is valid; a message not delivered by then is refunded.

        callback_url: where Telegram sends delivery reports; HTTPS.
        """
        self._credentials = credentials
        self._ttl = min(max(ttl, _MIN_TTL), _MAX_TTL)
        self._callback_url = callback_url
        self._poster = Poster()

    async def send(self, message: Message) -> None:
        """Send a code. Telegram writes the text, in the language of the person's app."""
        if message.code is None:
            raise GatewayError("sends only codes", Failure.NOT_TAKEN)
        fields: dict[str, str | int] = {
            "phone_number": message.phone,
            "code": message.code,
            "ttl": self._ttl,
        }
        if self._callback_url:
            fields |= {"callback_url": self._callback_url, "payload": message.receipt}
        response = await self._poster.post_json(
            f"{self._credentials.api}/sendVerificationMessage",
            fields,
            token=self._credentials.token,
        )
        answer = response.parse(_Answer)
        if answer is None:
            raise response.unreadable()
        if not answer.ok:
            raise _error(response, answer.error)
        if not response.is_success:
            raise GatewayError(f"status {response.status}, but ok", Failure.UNKNOWN)


def _error(response: Response, error: str) -> GatewayError:
    # FLOOD_WAIT has a number of seconds at its end
    name = "FLOOD_WAIT" if error.startswith("FLOOD_WAIT") else error
    if name in _FAILURES:
        return GatewayError(name, _FAILURES[name])
    if name.startswith(_ABOUT_PHONE):
        failure = Failure.PHONE
    elif response.is_success or response.is_refusal:
        failure = Failure.NOT_TAKEN
    else:
        failure = Failure.UNKNOWN
    shown = name if _ERROR_NAME.fullmatch(name) else "unknown error"
    return GatewayError(f"status {response.status}, {shown}", failure)


class _DeliveryStatus(msgspec.Struct):
    status: str


class _RequestStatus(msgspec.Struct):
    request_id: str
    phone_number: str
    delivery_status: _DeliveryStatus | None = None
    is_refunded: bool | None = None
    payload: str | None = None


def parse_reports(request: ReportRequest, credentials: Credentials) -> list[Report]:
    """Return the delivery report of a request to the callback URL.

    Raises ReportError if it is not Telegram's, older than five minutes, or malformed.
    """
    timestamp = request.header("x-request-timestamp")
    if not _TIMESTAMP.fullmatch(timestamp):
        raise ReportError("the timestamp is missing or malformed")
    key = hashlib.sha256(credentials.token.encode()).digest()
    expected = hmac.digest(key, f"{timestamp}\n".encode() + request.body, "sha256").hex()
    reports.require_signature(request.header("x-request-signature"), expected)
    if abs(request.now.timestamp() - int(timestamp)) > _MAX_AGE_SECONDS:
        raise ReportError("the timestamp is too old or in the future")
    status = reports.parse(request.body, _RequestStatus)
    return [
        Report(
            id=status.request_id,
            phone=reports.parse_phone(status.phone_number),
            is_delivered=status.delivery_status is not None
            and status.delivery_status.status in _DELIVERED,
            is_unbilled=bool(status.is_refunded),
            receipt=status.payload or "",
        )
    ]
