"""The gateway of Telegram, and its delivery reports."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from delivery_reports import request_status, sign_as_telegram
from fake_gateways import TELEGRAM_TOKEN, FakeGateway, telegram_error, telegram_gateway
from referral.messaging.gateways import Failure, GatewayError, Message, telegram
from referral.messaging.gateways.reports import Report, ReportError, ReportRequest

URL = f"telegram+gateway://{TELEGRAM_TOKEN}"
MESSAGE = Message(
    id="msg_1",
    phone="+79995550199",
    text="482716 ...",
    code="482716",
    language="ru",
    receipt="receipt_1",
)
NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)

# https://core.telegram.org/gateway/api#making-requests names ACCESS_TOKEN_INVALID; the others are
# from https://github.com/apifonica/tg-gateway-go/blob/main/errors.go
FAILURES = {
    "ACCESS_TOKEN_INVALID": Failure.NOT_TAKEN,
    "ACCESS_TOKEN_REQUIRED": Failure.NOT_TAKEN,
    "BALANCE_NOT_ENOUGH": Failure.NOT_TAKEN,
    "CALLBACK_URL_INVALID": Failure.NOT_TAKEN,
    "CODE_INVALID": Failure.NOT_TAKEN,
    "CODE_LENGTH_INVALID": Failure.NOT_TAKEN,
    "CODE_LENGTH_REQUIRED": Failure.NOT_TAKEN,
    "FLOOD_WAIT": Failure.NOT_TAKEN,
    "FLOOD_WAIT_3": Failure.NOT_TAKEN,
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
    # Not listed anywhere
    "PHONE_NUMBER_BANNED": Failure.PHONE,
    "USER_DEACTIVATED": Failure.PHONE,
    "SOMETHING_NEW": Failure.NOT_TAKEN,
    "for +79995550199 or 482716": Failure.NOT_TAKEN,
    "": Failure.NOT_TAKEN,
}


@pytest.fixture
def fake() -> Iterator[FakeGateway]:
    with telegram_gateway() as server:
        yield server


def gateway_to(
    fake: FakeGateway, *, ttl: int = 300, callback_url: str | None = None
) -> telegram.TelegramGateway:
    credentials = telegram.parse(f"{URL}?api={fake.url}")
    return telegram.TelegramGateway(credentials, ttl=ttl, callback_url=callback_url)


async def failure_of(fake: FakeGateway) -> tuple[Failure, str]:
    with pytest.raises(GatewayError) as caught:
        await gateway_to(fake).send(MESSAGE)
    return caught.value.failure, str(caught.value)


async def test_telegram_gets_the_phone_and_our_code(fake: FakeGateway) -> None:
    await gateway_to(fake, callback_url="https://app.example/hooks/delivery/telegram").send(MESSAGE)
    assert fake.jsons == [
        {
            "phone_number": "+79995550199",
            "code": "482716",
            "ttl": 300,
            "callback_url": "https://app.example/hooks/delivery/telegram",
            "payload": "receipt_1",
        }
    ]
    assert fake.requests[0].headers["authorization"] == f"Bearer {TELEGRAM_TOKEN}"


@pytest.mark.parametrize(("ttl", "sent"), [(10, 30), (30, 30), (600, 600), (86_400, 3600)])
async def test_ttl_is_one_that_telegram_supports(fake: FakeGateway, ttl: int, sent: int) -> None:
    await gateway_to(fake, ttl=ttl).send(MESSAGE)
    assert fake.jsons == [{"phone_number": "+79995550199", "code": "482716", "ttl": sent}]


@pytest.mark.parametrize("status", [200, 400, 401])
async def test_failure_for_each_error_of_telegram(fake: FakeGateway, status: int) -> None:
    """Its name is logged, unless it may hold a phone or a code."""
    gateway = gateway_to(fake)
    for name, failure in FAILURES.items():
        fake.default_response = telegram_error(name, status)
        with pytest.raises(GatewayError) as caught:
            await gateway.send(MESSAGE)
        assert (name, caught.value.failure) == (name, failure)
        logged = name.rstrip("_3") if name.isupper() else "unknown error"
        assert logged in str(caught.value)
        assert "79995550199" not in str(caught.value)


async def test_an_unknown_error_of_a_broken_server_is_uncertain(fake: FakeGateway) -> None:
    fake.default_response = telegram_error("INTERNAL", 500)
    assert await failure_of(fake) == (Failure.UNKNOWN, "status 500, INTERNAL")


async def test_a_contradictory_response_is_uncertain(fake: FakeGateway) -> None:
    fake.default_response = (400, {"ok": True, "result": {}})
    assert (await failure_of(fake))[0] is Failure.UNKNOWN


@pytest.mark.parametrize(
    ("text", "token"),
    [
        (TELEGRAM_TOKEN, TELEGRAM_TOKEN),
        ("AAHf%3AqX%2F%40Yz", "AAHf:qX/@Yz"),
        ("UPPERlower:99", "UPPERlower:99"),
    ],
)
def test_the_token_is_read_as_it_is(text: str, token: str) -> None:
    """Neither in lower case nor cut at a colon, as the host of a URL would be."""
    credentials = telegram.parse(f"telegram+gateway://{text}")
    assert (credentials.token, credentials.api) == (token, "https://gatewayapi.telegram.org")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "short",
        "AAHfAwAA/hidden",
        "user@AAHfAwAA",
        "AAHfAwAA hidden",
        "AAHf%0AhiddenX",
        "ключключ",
    ],
)
def test_a_malformed_url_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^telegram\+gateway:// needs the API token") as caught:
        telegram.parse(f"telegram+gateway://{text}")
    assert "hidden" not in str(caught.value)


# Delivery reports


def signed(body: bytes, *, at: datetime = NOW, token: str = TELEGRAM_TOKEN) -> dict[str, str]:
    return sign_as_telegram(body, at=at, token=token)


def read(headers: dict[str, str], body: bytes) -> list[Report]:
    request = ReportRequest(headers=headers, body=body, url="", now=NOW)
    return telegram.parse_reports(request, telegram.parse(URL))


@pytest.mark.parametrize(
    ("status", "is_delivered"),
    [
        ("sent", False),
        ("delivered", True),
        ("read", True),
        ("expired", False),
        ("revoked", False),
        ("new", False),
    ],
)
@pytest.mark.parametrize("refunded", [True, False])
def test_delivery_for_each_status_of_telegram(
    status: str, *, is_delivered: bool, refunded: bool
) -> None:
    body = request_status(delivery_status={"status": status}, is_refunded=refunded)
    assert read(signed(body), body) == [
        Report(
            id="1234567890",
            phone="+79995550199",
            is_delivered=is_delivered,
            is_unbilled=refunded,
            receipt="receipt_1",
        )
    ]


def test_a_report_without_status_or_plus_is_read() -> None:
    body = request_status(delivery_status=None, phone_number="79995550199")
    assert read(signed(body), body) == [
        Report(
            id="1234567890",
            phone="+79995550199",
            is_delivered=False,
            is_unbilled=False,
            receipt="receipt_1",
        )
    ]


@pytest.mark.parametrize(("seconds", "accepted"), [(0, True), (299, True), (301, False)])
@pytest.mark.parametrize("sign", [1, -1])
def test_a_report_is_accepted_for_five_minutes(seconds: int, sign: int, *, accepted: bool) -> None:
    body = request_status()
    headers = signed(body, at=NOW - sign * timedelta(seconds=seconds))
    if accepted:
        assert read(headers, body)
    else:
        with pytest.raises(ReportError, match="too old or in the future"):
            read(headers, body)


def test_a_wrong_signature_is_refused() -> None:
    body = request_status()
    right = signed(body)
    for headers in (
        {},
        {"x-request-timestamp": right["x-request-timestamp"]},
        {"x-request-signature": right["x-request-signature"]},
        {**right, "x-request-timestamp": "1796040001"},
        {**right, "x-request-timestamp": " 1796040000"},
        {**right, "x-request-timestamp": "١٧٩٦٠٤٠٠٠٠"},
        {**right, "x-request-signature": ""},
        {**right, "x-request-signature": "é" * 64},
        signed(body, token="another-token"),
    ):
        with pytest.raises(ReportError):
            read(headers, body)
    with pytest.raises(ReportError, match="the signature is wrong"):
        read(right, body + b" ")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b"\xff",
        b"[" * 100_000,
        request_status(request_id=5),
        request_status(phone_number="+7 999"),
        request_status(phone_number=None),
        request_status(phone_number="999999999"),
        request_status(phone_number="210"),
        request_status(delivery_status="delivered"),
        request_status(is_refunded="yes"),
    ],
)
def test_a_malformed_report_is_refused(body: bytes) -> None:
    with pytest.raises(ReportError, match="malformed") as caught:
        read(signed(body), body)
    assert "999" not in str(caught.value)


def test_null_fields_are_as_missing() -> None:
    body = request_status(is_refunded=None, payload=None)
    (report,) = read(signed(body), body)
    assert (report.is_unbilled, report.receipt) == (False, "")
