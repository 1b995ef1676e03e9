"""The gateway of WhatsApp, its handshake and its delivery reports."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from delivery_reports import message_status, sign_as_meta, whatsapp_event
from fake_gateways import (
    WHATSAPP_MESSAGE_ID,
    WHATSAPP_NUMBER_ID,
    WHATSAPP_SECRET,
    WHATSAPP_TOKEN,
    FakeGateway,
    whatsapp_cloud,
    whatsapp_error,
)
from referral.messaging.gateways import Failure, GatewayError, Message, whatsapp, whatsapp_reports
from referral.messaging.gateways.reports import Report, ReportError, ReportRequest

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
URL = f"whatsapp+cloud://{WHATSAPP_TOKEN}:{WHATSAPP_SECRET}@{WHATSAPP_NUMBER_ID}/login_code"
MESSAGE = Message(
    id="msg_1",
    phone="+79995550199",
    text="482716 ...",
    code="482716",
    language="ru",
    receipt="receipt_1",
)

# With the status that Meta documents for each, where it does:
# https://developers.facebook.com/documentation/business-messaging/whatsapp/support/error-codes
FAILURES = [
    # Authorization
    (0, 401, Failure.NOT_TAKEN),
    (3, 500, Failure.NOT_TAKEN),
    (10, 403, Failure.NOT_TAKEN),
    (190, 401, Failure.NOT_TAKEN),
    (200, 403, Failure.NOT_TAKEN),
    (299, 403, Failure.NOT_TAKEN),
    (131005, 403, Failure.NOT_TAKEN),
    # Integrity
    (368, 403, Failure.NOT_TAKEN),
    (130497, 403, Failure.NOT_TAKEN),
    (131031, 403, Failure.NOT_TAKEN),
    # Throttling
    (4, 400, Failure.NOT_TAKEN),
    (80007, 400, Failure.NOT_TAKEN),
    (130429, 400, Failure.NOT_TAKEN),
    (131048, 400, Failure.NOT_TAKEN),
    (131056, 400, Failure.PHONE),
    (131064, 400, Failure.NOT_TAKEN),
    (133016, 400, Failure.NOT_TAKEN),
    # Others
    (1, 400, Failure.UNKNOWN),
    (2, 503, Failure.UNKNOWN),
    (33, 400, Failure.NOT_TAKEN),
    (100, 400, Failure.NOT_TAKEN),
    (130472, 400, Failure.PHONE),
    (131000, 500, Failure.UNKNOWN),
    (131008, 400, Failure.NOT_TAKEN),
    (131009, 400, Failure.NOT_TAKEN),
    (131016, 500, Failure.UNKNOWN),
    (131021, 400, Failure.PHONE),
    (131026, 400, Failure.PHONE),
    (131030, 400, Failure.PHONE),
    (131037, 400, Failure.NOT_TAKEN),
    (131042, 400, Failure.NOT_TAKEN),
    (131045, 500, Failure.NOT_TAKEN),
    (131047, 400, Failure.PHONE),
    (131049, 400, Failure.PHONE),
    (131050, 400, Failure.PHONE),
    (131051, 400, Failure.NOT_TAKEN),
    (131052, 400, Failure.NOT_TAKEN),
    (131053, 400, Failure.NOT_TAKEN),
    (131057, 500, Failure.NOT_TAKEN),
    (131063, 400, Failure.NOT_TAKEN),
    # The template
    (132000, 400, Failure.NOT_TAKEN),
    (132001, 404, Failure.NOT_TAKEN),
    (132005, 400, Failure.NOT_TAKEN),
    (132007, 400, Failure.NOT_TAKEN),
    (132012, 400, Failure.NOT_TAKEN),
    (132015, 400, Failure.NOT_TAKEN),
    (132016, 400, Failure.NOT_TAKEN),
    (132018, 400, Failure.NOT_TAKEN),
    (132068, 400, Failure.NOT_TAKEN),
    (132069, 400, Failure.NOT_TAKEN),
    # Our number
    (133000, 500, Failure.NOT_TAKEN),
    (133004, 503, Failure.UNKNOWN),
    (133005, 400, Failure.NOT_TAKEN),
    (133006, 400, Failure.NOT_TAKEN),
    (133008, 400, Failure.NOT_TAKEN),
    (133009, 400, Failure.NOT_TAKEN),
    (133010, 400, Failure.NOT_TAKEN),
    (133015, 400, Failure.NOT_TAKEN),
    (135000, 400, Failure.NOT_TAKEN),
    # Not listed: by the status
    (139_999, 400, Failure.PHONE),
    (139_999, 403, Failure.NOT_TAKEN),
    (139_999, 500, Failure.UNKNOWN),
    (79_995_550_199, 400, Failure.PHONE),
    (-1, 400, Failure.PHONE),
]


@pytest.fixture
def fake() -> Iterator[FakeGateway]:
    with whatsapp_cloud() as server:
        yield server


def gateway_to(fake: FakeGateway, *, languages: str = "en,ru") -> whatsapp.WhatsAppCloud:
    url = f"{URL}?languages={languages}&api={fake.url}"
    return whatsapp.WhatsAppCloud(whatsapp.parse(url))


async def test_whatsapp_gets_the_code_in_body_and_button(fake: FakeGateway) -> None:
    await gateway_to(fake).send(MESSAGE)
    code = [{"type": "text", "text": "482716"}]
    assert fake.jsons == [
        {
            "messaging_product": "whatsapp",
            "recipient_type": "individual",
            "to": "+79995550199",
            "type": "template",
            "template": {
                "name": "login_code",
                "language": {"code": "ru"},
                "components": [
                    {"type": "body", "parameters": code},
                    {"type": "button", "sub_type": "url", "index": "0", "parameters": code},
                ],
            },
            "biz_opaque_callback_data": "referral:receipt_1",
        }
    ]
    assert fake.requests[0].headers["authorization"] == f"Bearer {WHATSAPP_TOKEN}"


@pytest.mark.parametrize(
    ("approved", "language", "sent"),
    [
        ("en,ru", "ru", "ru"),
        ("en,ru", "kk", "en"),
        ("ru,en", "kk", "ru"),
        ("en,pt-BR", "pt-BR", "pt_BR"),
        ("en,pt_BR", "pt-BR", "pt_BR"),
        ("es_MX,en_US", "en", "en_US"),
        ("es,pt_PT", "pt-BR", "pt_PT"),
        ("en_US,en", "en", "en"),
        ("en%2Cru", "ru", "ru"),
    ],
)
async def test_language_of_the_template(
    fake: FakeGateway, approved: str, language: str, sent: str
) -> None:
    message = dataclasses.replace(MESSAGE, language=language)
    await gateway_to(fake, languages=approved).send(message)
    assert fake.jsons[0]["template"]["language"] == {"code": sent}


async def test_failure_for_each_error_of_whatsapp(fake: FakeGateway) -> None:
    gateway = gateway_to(fake)
    for code, status, failure in FAILURES:
        fake.default_response = whatsapp_error(code, status)
        with pytest.raises(GatewayError) as caught:
            await gateway.send(MESSAGE)
        assert (code, caught.value.failure) == (code, failure)
        shown = f"error {code}" if 0 <= code < 1_000_000 else f"status {status}"
        assert str(caught.value) == shown


@pytest.mark.parametrize(
    ("status", "failure"),
    [
        ("accepted", None),
        ("new", None),
        ("held_for_quality_assessment", Failure.UNKNOWN),
        ("paused", Failure.UNKNOWN),
    ],
)
async def test_failure_for_each_message_status(
    fake: FakeGateway, status: str, failure: Failure | None
) -> None:
    """https://developers.facebook.com/documentation/business-messaging/whatsapp/templates/template-pacing."""
    fake.default_response = (200, {"messages": [{"id": "wamid.1", "message_status": status}]})
    if failure is None:
        await gateway_to(fake).send(MESSAGE)
    else:
        with pytest.raises(GatewayError) as caught:
            await gateway_to(fake).send(MESSAGE)
        assert caught.value.failure is failure


def test_the_url_is_read_as_it_is() -> None:
    read = whatsapp.parse("whatsapp+cloud://EAA%7CtokenX:S%3Acret123@1065403/otp_2?languages=en")
    assert read == whatsapp.Credentials(
        token="EAA|tokenX",
        app_secret="S:cret123",
        phone_number_id="1065403",
        template="otp_2",
        languages=("en",),
        api="https://graph.facebook.com",
    )


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("whatsapp+cloud://", "needs the token"),
        (f"whatsapp+cloud://{WHATSAPP_TOKEN}@1065403/otp?languages=en", "needs the token"),
        (f"whatsapp+cloud://{WHATSAPP_TOKEN}:short@1065403/otp?languages=en", "needs the token"),
        (f"whatsapp+cloud://{WHATSAPP_TOKEN}:{WHATSAPP_SECRET}@1065403", "needs the token"),
        (f"whatsapp+cloud://{WHATSAPP_TOKEN}:{WHATSAPP_SECRET}@106/otp", "needs the ID"),
        (f"whatsapp+cloud://{WHATSAPP_TOKEN}:{WHATSAPP_SECRET}@+106540/otp", "needs the ID"),
        (f"whatsapp+cloud://{WHATSAPP_TOKEN}:{WHATSAPP_SECRET}@1065403/Otp", "needs the name"),
        (f"{URL}/more?languages=en", "needs the token"),
        (URL, "needs the languages"),
        (f"{URL}?languages=", "needs the languages"),
        (f"{URL}?languages=en,", "needs the languages"),
        (f"{URL}?languages=en, ru", "needs the languages"),
        (f"{URL}?languages=English", "needs the languages"),
    ],
)
def test_a_malformed_url_is_refused(url: str, says: str) -> None:
    with pytest.raises(ValueError, match=rf"^whatsapp\+cloud:// {says}") as caught:
        whatsapp.parse(url)
    assert WHATSAPP_TOKEN not in str(caught.value)
    assert WHATSAPP_SECRET not in str(caught.value)


# The handshake


def test_the_verify_token_depends_on_the_secret() -> None:
    first, second = whatsapp_reports.verify_token(b"one"), whatsapp_reports.verify_token(b"two")
    assert first == whatsapp_reports.verify_token(b"one") != second
    assert len(first) == 64


@pytest.mark.parametrize(
    ("changed", "answer"),
    [
        ({}, "1158201444"),
        ({"hub.mode": "unsubscribe"}, None),
        ({"hub.verify_token": "wrong"}, None),
        ({"hub.verify_token": "é"}, None),
        ({"hub.verify_token": ""}, None),
        ({"hub.challenge": ""}, None),
        ({"hub.challenge": "<script>"}, None),
    ],
)
def test_only_the_right_verify_token_gets_the_challenge(
    changed: dict[str, str], answer: str | None
) -> None:
    """https://developers.facebook.com/docs/graph-api/webhooks/getting-started#verification-requests."""
    token = whatsapp_reports.verify_token(b"secret")
    query = {"hub.mode": "subscribe", "hub.verify_token": token, "hub.challenge": "1158201444"}
    assert whatsapp_reports.answer_handshake(query | changed, "earlier", token) == answer


# Delivery reports


def read(headers: dict[str, str], body: bytes) -> list[Report]:
    request = ReportRequest(headers=headers, body=body, url="", now=NOW)
    return whatsapp_reports.parse_reports(request, whatsapp.parse(f"{URL}?languages=en"))


def read_signed(body: bytes) -> list[Report]:
    return read(sign_as_meta(body), body)


FAILED = {"errors": [{"code": 131026, "title": "Message undeliverable"}], "pricing": None}


@pytest.mark.parametrize(
    ("name", "changed", "is_delivered", "unbilled"),
    [
        ("sent", {}, False, False),
        ("delivered", {}, True, False),
        ("read", {}, True, False),
        ("failed", FAILED, False, True),
        ("played", {}, False, False),
        ("new", {}, False, False),
    ],
)
def test_delivery_for_each_status_of_whatsapp(
    name: str, changed: dict[str, Any], *, is_delivered: bool, unbilled: bool
) -> None:
    assert read_signed(whatsapp_event(message_status(status=name, **changed))) == [
        Report(
            id=WHATSAPP_MESSAGE_ID,
            phone="+79995550199",
            is_delivered=is_delivered,
            is_unbilled=unbilled,
            receipt="receipt_1",
        )
    ]


def test_one_request_may_have_many_reports() -> None:
    first, second = read_signed(
        whatsapp_event(message_status(id="a"), message_status(id="b", status="failed"))
    )
    assert (first.id, second.id) == ("a", "b")


@pytest.mark.parametrize(
    "body",
    [
        whatsapp_event(),
        whatsapp_event(message_status(biz_opaque_callback_data="another-app")),
        whatsapp_event(message_status(biz_opaque_callback_data=None)),
        whatsapp_event(message_status(recipient_id=None)),
        whatsapp_event(message_status(), field="account_update"),
        b'{"object": "whatsapp_business_account", "entry": []}',
        b'{"entry": [{"id": "1"}]}',
        b'{"entry": [{"changes": [{"field": "message_template_status_update", "value": 1}]}]}',
        b'{"entry": [{"changes": [{"field": "messages", "value": {"messages": [{"id": 1}]}}]}]}',
    ],
)
def test_a_request_without_our_statuses_has_no_reports(body: bytes) -> None:
    """An app gets messages of people too, and the statuses of all messages of its number."""
    assert read_signed(body) == []


@pytest.mark.parametrize(
    "odd",
    [
        {"id": 5},
        {"status": None},
        {"recipient_id": 79991234567},
        {"recipient_id": "999999999"},
        {"biz_opaque_callback_data": 5},
    ],
)
def test_a_status_that_cannot_be_read_spoils_no_other(odd: dict[str, object]) -> None:
    (report,) = read_signed(whatsapp_event(message_status(**odd), message_status(id="b")))
    assert report.id == "b"


def test_a_wrong_signature_is_refused() -> None:
    body = whatsapp_event(message_status())
    digest = sign_as_meta(body)["x-hub-signature-256"].removeprefix("sha256=")
    for headers in (
        {},
        {"x-hub-signature-256": ""},
        {"x-hub-signature-256": digest},
        {"x-hub-signature-256": f"sha1={digest}"},
        {"x-hub-signature-256": f"sha256={digest[:-1]}"},
        {"x-hub-signature-256": "é"},
        {"x-hub-signature": f"sha256={digest}"},
        sign_as_meta(body, secret="another secret"),
        sign_as_meta(body + b"\n"),
    ):
        with pytest.raises(ReportError, match="the signature is wrong"):
            read(headers, body)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"{}",
        b"\xff",
        b"[" * 100_000,
        b'{"entry": {}}',
        b'{"entry": [{"changes": [{"field": "messages", "value": []}]}]}',
    ],
)
def test_a_malformed_report_is_refused(body: bytes) -> None:
    with pytest.raises(ReportError, match="malformed"):
        read_signed(body)
