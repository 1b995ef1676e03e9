"""Voice calls through Twilio, which read the code aloud.

https://www.twilio.com/docs/voice/api/call-resource#create-a-call-resource
"""

from __future__ import annotations

import base64
import hmac
import html
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

import msgspec

from referral.messaging.gateways import Failure, GatewayError, Message, provider_url, reports
from referral.messaging.gateways.post import Poster
from referral.messaging.gateways.reports import MalformedReportError, Report, ReportRequest

SCHEME = "twilio+voice"

_API = "https://api.twilio.com"
_CREDENTIALS = re.compile(r"(AC[0-9a-fA-F]{32}):([^:/@#]+)@((?:\+|%2[Bb])[1-9][0-9]{4,14})")
# Short, so that no voicemail answers and keeps the code
_RING_SECONDS = 20
_TIMES = 2
_MAX_SHOWN_CODE = 99_999
_MAX_FIELDS = 100
_PORTS = {"https": 443, "http": 80}

# A voice and its language for each of our languages: https://www.twilio.com/docs/voice/twiml/say
# and its page on text-to-speech. Twilio has no voice for Kazakh
VOICES = {
    "ar": ("Polly.Zeina", "arb"),
    "de": ("Polly.Vicki", "de-DE"),
    "en": ("Polly.Joanna", "en-US"),
    "es": ("Polly.Mia", "es-MX"),
    "fr": ("Polly.Lea", "fr-FR"),
    "pt-BR": ("Polly.Camila", "pt-BR"),
    "ru": ("Polly.Tatyana", "ru-RU"),
    "tr": ("Polly.Filiz", "tr-TR"),
    "uk": ("Google.uk-UA-Standard-A", "uk-UA"),
}
_WORDS_WITHOUT_VOICE = "is your code."

# https://www.twilio.com/docs/api/errors
_ABOUT_PHONE = (
    *(13223, 13224, 13225, 13226),  # malformed, not served, forbidden, in no country
    *(21201, 21202, 21211, 21214, 21217),  # missing, premium, invalid, not reachable, invalid
    21216,  # blocked by Twilio
    21219,  # not verified, for an account on trial
    *(21401, 21421),  # invalid
)
_NOT_TAKEN = (
    *(10001, 10002, 10004, 10005),  # the account: closed, on trial, at its limit, without voice
    *(20001, 20003, 20004, 20005, 20006, 20008, 20403, 20404, 20429),  # credentials and rates
    *(13227, 21203, 21215),  # the account may not call the country
    *(21210, 21212, 21213, 21606, 21659),  # our own number
    *(21205, 21206, 21207, 21208, 21209, 21218, 21609),  # other fields of the request
    *(21470, 21471, 21472),  # the account's SID
)
# Twilio warns that a call may be made after these: https://www.twilio.com/docs/api/errors/20500
_UNKNOWN = (20500, 20503)
_FAILURES = {
    **dict.fromkeys(_ABOUT_PHONE, Failure.PHONE),
    **dict.fromkeys(_NOT_TAKEN, Failure.NOT_TAKEN),
    **dict.fromkeys(_UNKNOWN, Failure.UNKNOWN),
}

# Of CallStatus
_DELIVERED = "completed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """The team's Twilio account and number, and the origin of the API."""

    sid: str
    token: str = field(repr=False)
    number: str
    api: str


def parse(url: str) -> Credentials:
    """Parse `twilio+voice://SID:TOKEN@+15005550007`.

    Raises ValueError, whose text shows nothing of the URL.
    """
    text, _, api = provider_url.split(url, scheme=SCHEME, api=_API)
    match = _CREDENTIALS.fullmatch(text)
    token = provider_url.secret(match[2]) if match else None
    if not match or not token:
        raise ValueError(
            "twilio+voice:// needs the SID of the account, its auth token, and the number that "
            f"calls, with its +: twilio+voice://SID:TOKEN@+15005550007; {provider_url.SECRETS}"
        )
    return Credentials(sid=match[1], token=token, number=unquote(match[3]), api=api)


class _Call(msgspec.Struct):
    sid: str


class _Error(msgspec.Struct):
    code: int


class TwilioVoice:
    """Calls phones, and reads codes aloud."""

    name = SCHEME
    echoes_code = False

    def __init__(self, credentials: Credentials, *, callback_url: str | None = None) -> None:
        """callback_url: where Twilio reports the end of a call."""
        self._url = f"{credentials.api}/2010-04-01/Accounts/{credentials.sid}/Calls.json"
        self._number = credentials.number
        self._callback_url = callback_url
        pair = f"{credentials.sid}:{credentials.token}".encode()
        self._authorization = f"Basic {base64.b64encode(pair).decode()}"
        self._poster = Poster()

    async def send(self, message: Message) -> None:
        """Call the phone."""
        if message.code is None:
            raise GatewayError("sends only codes", Failure.NOT_TAKEN)
        fields = {
            "To": message.phone,
            "From": self._number,
            "Twiml": _twiml(message, message.code),
            "Timeout": str(_RING_SECONDS),
        }
        if self._callback_url:
            fields |= {"StatusCallback": self._callback_url, "StatusCallbackEvent": "completed"}
        response = await self._poster.post(
            self._url,
            urlencode(fields),
            {
                "Content-Type": "application/x-www-form-urlencoded",
                "Authorization": self._authorization,
            },
        )
        if not response.is_success:
            error = response.parse(_Error)
            code = error.code if error else None
            raise response.error(code, _FAILURES, max_code=_MAX_SHOWN_CODE)
        if response.parse(_Call) is None:
            raise response.unreadable()


def _twiml(message: Message, code: str) -> str:
    """Return the instructions: the digits, one by one with pauses, and the words; all twice."""
    if found := VOICES.get(message.language):
        # The code comes first in the text, and its last line is for browsers
        words = message.text.partition("\n")[0].removeprefix(code)
    else:
        found, words = VOICES["en"], _WORDS_WITHOUT_VOICE
    voice, language = found
    said = [*code, *([words.strip()] if words.strip() else [])]
    says = (
        f'<Pause length="1"/><Say voice="{voice}" language="{language}">{html.escape(each)}</Say>'
        for each in said * _TIMES
    )
    return f"<Response>{''.join(says)}</Response>"


def parse_reports(request: ReportRequest, credentials: Credentials) -> list[Report]:
    """Return the report of a request about the end of a call. Twilio bills every call.

    Raises ReportError if the request is not Twilio's or malformed.
    """
    try:
        fields = parse_qsl(
            request.body.decode("ascii"),
            keep_blank_values=True,
            strict_parsing=True,
            errors="strict",
            max_num_fields=_MAX_FIELDS,
        )
    except ValueError:
        raise MalformedReportError("the body is malformed") from None
    _require_signature(request.header("x-twilio-signature"), request.url, fields, credentials.token)
    values = dict(fields)
    if not values.get("CallSid") or not values.get("CallStatus"):
        raise MalformedReportError("the body is malformed")
    return [
        Report(
            id=values["CallSid"],
            phone=reports.parse_phone(values.get("To", "")),
            is_delivered=values["CallStatus"] == _DELIVERED,
            is_unbilled=False,
        )
    ]


def _require_signature(given: str, url: str, fields: list[tuple[str, str]], token: str) -> None:
    """Raise ReportError unless the fields, sorted, are signed for one of the URL's spellings.

    https://www.twilio.com/docs/usage/security#validating-requests
    """
    # Twilio signs a pair that appears twice once
    text = "".join(name + value for name, value in sorted(set(fields)))
    digests = (
        hmac.digest(token.encode(), f"{each}{text}".encode(), "sha1") for each in _spellings(url)
    )
    reports.require_signature(given, *(base64.b64encode(each).decode() for each in digests))


def _spellings(url: str) -> Iterator[str]:
    """Return the URL with and without its port: Twilio's libraries accept both as signed."""
    parts = urlsplit(url)
    host = parts.netloc.removesuffix(f":{parts.port}") if parts.port else parts.netloc
    port = parts.port or _PORTS.get(parts.scheme, _PORTS["https"])
    yield parts._replace(netloc=host).geturl()
    yield parts._replace(netloc=f"{host}:{port}").geturl()
