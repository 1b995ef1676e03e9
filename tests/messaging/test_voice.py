"""The gateway of Twilio's calls, and its delivery reports."""

from __future__ import annotations

import base64
import dataclasses
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from urllib.parse import urlencode
from xml.etree import ElementTree as ET

import pytest

from delivery_reports import Fields, call_status, encode_form, sign_as_twilio
from fake_gateways import (
    CALL_SID,
    TWILIO_SENDER,
    TWILIO_SID,
    VOICE_TOKEN,
    FakeGateway,
    twilio_error,
    twilio_voice,
)
from referral.i18n import LANGUAGES
from referral.messaging.gateways import Failure, GatewayError, Message, voice
from referral.messaging.gateways.reports import Report, ReportError, ReportRequest

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
URL = f"twilio+voice://{TWILIO_SID}:{VOICE_TOKEN}@{TWILIO_SENDER}"
CALLBACK = "https://app.example/hooks/delivery/twilio"
MESSAGE = Message(
    id="msg_1",
    phone="+79995550199",
    text="482716 is your code for R&D <Referral>. Do not share it.\n@app.example #482716",
    code="482716",
    language="en",
)

# https://www.twilio.com/docs/api/errors
FAILURES = [
    (10001, 400, Failure.NOT_TAKEN),
    (10002, 400, Failure.NOT_TAKEN),
    (10004, 429, Failure.NOT_TAKEN),
    (10005, 403, Failure.NOT_TAKEN),
    (13223, 400, Failure.PHONE),
    (13224, 400, Failure.PHONE),
    (13225, 403, Failure.PHONE),
    (13226, 400, Failure.PHONE),
    (13227, 403, Failure.NOT_TAKEN),
    (20001, 400, Failure.NOT_TAKEN),
    (20003, 401, Failure.NOT_TAKEN),
    (20004, 405, Failure.NOT_TAKEN),
    (20005, 403, Failure.NOT_TAKEN),
    (20006, 403, Failure.NOT_TAKEN),
    (20008, 403, Failure.NOT_TAKEN),
    (20403, 403, Failure.NOT_TAKEN),
    (20404, 404, Failure.NOT_TAKEN),
    (20429, 429, Failure.NOT_TAKEN),
    (20500, 500, Failure.UNKNOWN),
    (20503, 503, Failure.UNKNOWN),
    (21201, 400, Failure.PHONE),
    (21202, 400, Failure.PHONE),
    (21203, 400, Failure.NOT_TAKEN),
    (21205, 400, Failure.NOT_TAKEN),
    (21206, 400, Failure.NOT_TAKEN),
    (21207, 400, Failure.NOT_TAKEN),
    (21208, 400, Failure.NOT_TAKEN),
    (21209, 400, Failure.NOT_TAKEN),
    (21210, 400, Failure.NOT_TAKEN),
    (21211, 400, Failure.PHONE),
    (21212, 400, Failure.NOT_TAKEN),
    (21213, 400, Failure.NOT_TAKEN),
    (21214, 400, Failure.PHONE),
    (21215, 400, Failure.NOT_TAKEN),
    (21216, 403, Failure.PHONE),
    (21217, 400, Failure.PHONE),
    (21218, 400, Failure.NOT_TAKEN),
    (21219, 400, Failure.PHONE),
    (21401, 400, Failure.PHONE),
    (21421, 400, Failure.PHONE),
    (21470, 400, Failure.NOT_TAKEN),
    (21471, 400, Failure.NOT_TAKEN),
    (21472, 400, Failure.NOT_TAKEN),
    (21606, 400, Failure.NOT_TAKEN),
    (21609, 400, Failure.NOT_TAKEN),
    (21659, 400, Failure.NOT_TAKEN),
    # Not listed: by the status
    (29999, 400, Failure.PHONE),
    (29999, 403, Failure.NOT_TAKEN),
    (29999, 500, Failure.UNKNOWN),
    (79_995_550_199, 400, Failure.PHONE),
    (482_716, 400, Failure.PHONE),
]


@pytest.fixture
def fake() -> Iterator[FakeGateway]:
    with twilio_voice() as server:
        yield server


def gateway_to(fake: FakeGateway, *, callback_url: str | None = None) -> voice.TwilioVoice:
    credentials = voice.parse(f"{URL}?api={fake.url}")
    return voice.TwilioVoice(credentials, callback_url=callback_url)


async def said(fake: FakeGateway, message: Message = MESSAGE) -> list[tuple[str, ...]]:
    """Return what a call says: of each part its voice, language and text, of pauses the length."""
    await gateway_to(fake).send(message)
    root = ET.fromstring(fake.forms[-1]["Twiml"])  # noqa: S314 - written by ourselves
    assert root.tag == "Response"
    return [
        (part.attrib["voice"], part.attrib["language"], part.text or "")
        if part.tag == "Say"
        else (part.tag, part.attrib["length"])
        for part in root
    ]


async def test_twilio_gets_a_call(fake: FakeGateway) -> None:
    await gateway_to(fake, callback_url=CALLBACK).send(MESSAGE)
    (form,) = fake.forms
    assert form | {"Twiml": ""} == {
        "To": "+79995550199",
        "From": TWILIO_SENDER,
        "Twiml": "",
        "Timeout": "20",
        "StatusCallback": CALLBACK,
        "StatusCallbackEvent": "completed",
    }
    basic = base64.b64encode(f"{TWILIO_SID}:{VOICE_TOKEN}".encode()).decode()
    assert fake.requests[0].headers["authorization"] == f"Basic {basic}"


async def test_without_a_callback_url_nothing_is_reported(fake: FakeGateway) -> None:
    await gateway_to(fake).send(MESSAGE)
    assert set(fake.forms[0]) == {"To", "From", "Twiml", "Timeout"}


async def test_the_digits_are_said_one_by_one_and_twice(fake: FakeGateway) -> None:
    """Then the words of the text, whose last line is only for browsers."""
    pause = ("Pause", "1")
    words = "is your code for R&D <Referral>. Do not share it."
    parts = [*"482716", words] * 2
    expected = [each for part in parts for each in (pause, ("Polly.Joanna", "en-US", part))]
    assert await said(fake) == expected


async def test_a_text_without_words_is_only_digits(fake: FakeGateway) -> None:
    spoken = await said(fake, dataclasses.replace(MESSAGE, text="482716"))
    assert [part[2] for part in spoken if part[0] != "Pause"] == [*"482716"] * 2


@pytest.mark.parametrize(
    ("language", "expected"),
    [
        # https://www.twilio.com/docs/voice/twiml/say/text-speech
        ("ar", ("Polly.Zeina", "arb", "words")),
        ("de", ("Polly.Vicki", "de-DE", "words")),
        ("en", ("Polly.Joanna", "en-US", "words")),
        ("es", ("Polly.Mia", "es-MX", "words")),
        ("fr", ("Polly.Lea", "fr-FR", "words")),
        ("pt-BR", ("Polly.Camila", "pt-BR", "words")),
        ("ru", ("Polly.Tatyana", "ru-RU", "words")),
        ("tr", ("Polly.Filiz", "tr-TR", "words")),
        ("uk", ("Google.uk-UA-Standard-A", "uk-UA", "words")),
        # An English voice could not read Kazakh words
        ("kk", ("Polly.Joanna", "en-US", "is your code.")),
    ],
)
async def test_voice_of_each_language(
    fake: FakeGateway, language: str, expected: tuple[str, ...]
) -> None:
    message = dataclasses.replace(MESSAGE, language=language, text="482716 words\n@x #482716")
    spoken = await said(fake, message)
    assert spoken[-1] == expected
    assert {part[:2] for part in spoken if part[0] != "Pause"} == {expected[:2]}


async def test_the_longest_code_fits_in_a_call(fake: FakeGateway) -> None:
    text = "82716034 " + "&" * 160
    message = dataclasses.replace(MESSAGE, language="uk", text=text, code="82716034")
    spoken = await said(fake, message)
    assert [part[2] for part in spoken if part[0] != "Pause"] == [*"82716034", "&" * 160] * 2
    # The schema of Twilio's fields has the longest Twiml
    assert fake.problems == []


async def test_failure_for_each_error_of_twilio(fake: FakeGateway) -> None:
    gateway = gateway_to(fake)
    for code, status, failure in FAILURES:
        fake.default_response = twilio_error(status, code)
        with pytest.raises(GatewayError) as caught:
            await gateway.send(MESSAGE)
        assert (code, caught.value.failure) == (code, failure)
        assert str(caught.value) == (f"error {code}" if code < 100_000 else f"status {status}")


@pytest.mark.parametrize("number", ["+15005550007", "%2B15005550007"])
def test_the_url_is_read_as_it_is(number: str) -> None:
    read = voice.parse(f"twilio+voice://{TWILIO_SID}:Token%3AWith%40Case@{number}")
    assert read == voice.Credentials(
        sid=TWILIO_SID,
        token="Token:With@Case",
        number="+15005550007",
        api="https://api.twilio.com",
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        TWILIO_SID,
        f"{TWILIO_SID}@{TWILIO_SENDER}",
        f"{TWILIO_SID}:{VOICE_TOKEN}",
        f"{TWILIO_SID}:{VOICE_TOKEN}@15005550007",
        f"{TWILIO_SID}:{VOICE_TOKEN}@+0500555",
        f"{TWILIO_SID}:{VOICE_TOKEN}@{TWILIO_SENDER}/{TWILIO_SENDER}",
        f"{TWILIO_SID}:short@{TWILIO_SENDER}",
        f"{VOICE_TOKEN}:{TWILIO_SID}@{TWILIO_SENDER}",
    ],
)
def test_a_malformed_url_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^twilio\+voice:// needs the SID") as caught:
        voice.parse(f"twilio+voice://{text}")
    assert VOICE_TOKEN not in str(caught.value)


# Delivery reports


def signed(fields: Fields, *, url: str = CALLBACK, token: str = VOICE_TOKEN) -> dict[str, str]:
    return sign_as_twilio(fields, url=url, token=token)


def read(headers: dict[str, str], body: bytes, *, url: str = CALLBACK) -> list[Report]:
    request = ReportRequest(headers=headers, body=body, url=url, now=NOW)
    return voice.parse_reports(request, voice.parse(URL))


@pytest.mark.parametrize(
    ("status", "is_delivered"),
    [
        ("queued", False),
        ("initiated", False),
        ("ringing", False),
        ("in-progress", False),
        ("completed", True),
        ("busy", False),
        ("no-answer", False),
        ("failed", False),
        ("canceled", False),
        ("new", False),
    ],
)
def test_delivery_for_each_status_of_a_call(status: str, *, is_delivered: bool) -> None:
    fields = call_status(CallStatus=status, Later="than today")
    assert read(signed(fields), encode_form(fields)) == [
        Report(id=CALL_SID, phone="+79995550199", is_delivered=is_delivered, is_unbilled=False)
    ]


def test_the_signature_of_twilios_own_example() -> None:
    """https://github.com/twilio/twilio-python/blob/main/tests/unit/test_request_validator.py."""
    fields = {
        "CallSid": "CA1234567890ABCDE",
        "Digits": "1234",
        "From": "+14158675309",
        "To": "+18005551212",
        "Caller": "+14158675309",
    }
    headers = {"x-twilio-signature": "RSOYDt4T1cUTdK1PDd93/VVr8B8="}
    credentials = dataclasses.replace(voice.parse(URL), token="12345")
    with pytest.raises(ReportError, match="the body is malformed"):  # it has no CallStatus
        voice.parse_reports(
            ReportRequest(
                headers=headers,
                body=urlencode(fields).encode(),
                url="https://mycompany.com/myapp.php?foo=1&bar=2",
                now=NOW,
            ),
            credentials,
        )


@pytest.mark.parametrize(
    ("url", "as_signed"),
    [
        ("https://app.example/hooks", "https://app.example:443/hooks"),
        ("http://app.example/hooks", "http://app.example:80/hooks"),
        ("https://app.example:8443/hooks", "https://app.example/hooks"),
        ("https://app.example:8443/hooks", "https://app.example:8443/hooks"),
        ("https://app.example/hooks?a=b%2Fc", "https://app.example/hooks?a=b%2Fc"),
    ],
)
def test_the_url_may_be_signed_with_or_without_port(url: str, as_signed: str) -> None:
    fields = call_status()
    assert read(signed(fields, url=as_signed), encode_form(fields), url=url)


def test_a_wrong_signature_is_refused() -> None:
    fields = call_status()
    for headers in (
        {},
        {"x-twilio-signature": ""},
        {"x-twilio-signature": "é"},
        signed(fields, token="another token"),
        signed(fields, url="https://app.example/hooks/delivery/other"),
        signed(call_status(CallStatus="busy")),
        signed([*fields, ("More", "")]),
    ):
        with pytest.raises(ReportError, match="the signature is wrong"):
            read(headers, encode_form(fields))


@pytest.mark.parametrize(
    "fields",
    [
        call_status(CallSid=""),
        call_status(CallStatus=""),
        call_status(To="client:someone"),
        call_status(To=""),
        [("To", "+79995550199")],
    ],
)
def test_a_report_without_its_fields_is_refused(fields: list[tuple[str, str]]) -> None:
    with pytest.raises(ReportError, match="malformed") as caught:
        read(signed(fields), encode_form(fields))
    assert re.search("[0-9]", str(caught.value)) is None


@pytest.mark.parametrize(
    "body",
    [b"", b"CallSid", b"\xff=1", b"CallSid=%FF", "CallSid=é".encode(), b"&" * 200, b"a=1&" * 200],
)
def test_a_malformed_body_is_refused(body: bytes) -> None:
    with pytest.raises(ReportError, match="the body is malformed"):
        read(signed([]), body)


def test_every_language_has_a_decision() -> None:
    """A new language has a voice, or is known to have none."""
    assert {*voice.VOICES, "kk"} == set(LANGUAGES)
