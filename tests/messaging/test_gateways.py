"""Gateways: all of them, then each by itself, then signing in through them."""

from __future__ import annotations

import asyncio
import base64
import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

import pytest
from standardwebhooks import Webhook

from fake_gateways import (
    HOOK_SECRET,
    TWILIO_SENDER,
    TWILIO_SID,
    TWILIO_TOKEN,
    FakeGateway,
    code_in,
    hook_server,
    twilio,
    twilio_error,
)
from logs import everything_logged, leaks
from referral.messaging.gateways import (
    Failure,
    Gateway,
    GatewayError,
    Message,
    hook,
    post,
    registry,
    sms,
    urls,
)
from referral.messaging.gateways.chain import Chain, SendResult
from referral.messaging.gateways.console import Console
from referral.messaging.gateways.simulated import Simulated
from referral.messaging.gateways.sms import SmsService
from support import Service, new_phone, ok, refused, sending

# Nothing listens there, and no name has to be looked up
NOWHERE = "http://127.0.0.1:9"
TWILIO = f"twilio://{TWILIO_SID}:{TWILIO_TOKEN}@{TWILIO_SENDER}"
PHONE, CODE = "+79995550199", "482716"
ENGLISH = f"{CODE} is your code for Referral.\n@app.example #{CODE}"
RUSSIAN = f"{CODE} — ваш код для «Друзей».\n@app.example #{CODE}"
REAL = ("hook", "twilio")
EVERY = ("simulated", "console", *REAL)


def message(text: str = ENGLISH, phone: str = PHONE) -> Message:
    return Message(id="msg_1", phone=phone, text=text, code=CODE, language="en")


def now() -> datetime:
    return datetime.now(UTC)  # noqa: TID251 - the clock of the tests


@dataclass
class Attempts:
    """The attempts that a chain reported."""

    failures: list[tuple[str, str]] = field(default_factory=list)
    phones: set[str] = field(default_factory=set)
    outcomes: list[tuple[str, Failure | None]] = field(default_factory=list)

    def __call__(
        self, gateway: str, message: Message, failure: Failure | None, reason: str
    ) -> None:
        self.phones.add(message.phone)
        self.outcomes.append((gateway, failure))
        if failure:
            self.failures.append((gateway, reason))


def told(result: SendResult) -> tuple[bool, bool]:
    """Return whether a send has failed, and whether it is refunded."""
    return result.has_failed, result.is_refundable


async def charge() -> bool:
    """Allow any number of messages."""
    return True


def hook_url(url: str, *, secret: str = HOOK_SECRET) -> str:
    return f"hook+{url}?secret={secret}"


def hook_to(url: str, *, clock: Callable[[], datetime] = now) -> hook.Hook:
    return hook.Hook(hook.parse(hook_url(url)), clock=clock)


@pytest.fixture
def twilio_api(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeGateway]:
    """A server in place of Twilio's API."""
    with twilio() as fake:
        redirect_twilio(fake.url, monkeypatch)
        yield fake


@pytest.fixture
def own_endpoint() -> Iterator[FakeGateway]:
    with hook_server() as fake:
        yield fake


def redirect_twilio(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make Apprise use this URL for Twilio's API."""
    from apprise.plugins.twilio import NotifyTwilio  # noqa: PLC0415 - imported late, as in sms.py

    path = "/2010-04-01/Accounts/{sid}/Messages.json"
    assert NotifyTwilio.notify_sms_url == f"https://api.twilio.com{path}"
    monkeypatch.setattr(NotifyTwilio, "notify_sms_url", url + path)


@dataclass
class GatewayCase:
    """A gateway, and the server behind a real one."""

    gateway: Gateway
    fake: FakeGateway | None

    @property
    def server(self) -> FakeGateway:
        assert self.fake is not None
        return self.fake


@pytest.fixture
def case(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[GatewayCase]:
    """The gateway of this name, and the server behind a real one."""
    match request.param:
        case "simulated":
            yield GatewayCase(Simulated(lambda: 0), None)
        case "console":
            yield GatewayCase(Console(), None)
        case "hook":
            with hook_server() as fake:
                yield GatewayCase(hook_to(fake.url), fake)
        case "twilio":
            with twilio() as fake:
                redirect_twilio(fake.url, monkeypatch)
                yield GatewayCase(SmsService(TWILIO), fake)


every = pytest.mark.parametrize("case", EVERY, indirect=True)


def test_every_type_of_gateway_is_tested() -> None:
    assert len(EVERY) == len(registry.TYPES), "add the gateway to EVERY and to case() here"


real = pytest.mark.parametrize("case", REAL, indirect=True)


# Every gateway


@every
@pytest.mark.parametrize("text", [ENGLISH, RUSSIAN], ids=["English", "Russian"])
async def test_each_gateway_accepts_a_message(case: GatewayCase, text: str) -> None:
    await case.gateway.send(message(text))


@every
async def test_only_the_simulated_gateway_echoes_codes(case: GatewayCase) -> None:
    assert case.gateway.echoes_code == isinstance(case.gateway, Simulated)


@every
async def test_each_gateway_accepts_concurrent_messages(case: GatewayCase) -> None:
    phones = [new_phone() for _ in range(40)]
    await asyncio.gather(*(case.gateway.send(message(phone=phone)) for phone in phones))
    if case.fake is not None:
        assert sorted(phone for phone, _ in case.fake.texts) == sorted(phones)


@every
@pytest.mark.parametrize("status", [201, 400, 500])
async def test_no_log_has_a_phone_text_or_code(case: GatewayCase, status: int) -> None:
    """No library logs them at any level, even if the service's response contains them."""
    with everything_logged() as records:
        logging.getLogger("canary").debug("collected")
        if case.fake is not None:
            case.fake.default_response = (
                status,
                {"code": 21211, "message": ENGLISH, "to": PHONE},
            )
        fails = status != 201 and case.fake is not None
        with pytest.raises(GatewayError) if fails else nullcontext():
            try:
                await case.gateway.send(message())
            except GatewayError:
                logging.getLogger("canary").exception("failed")
                raise
    assert any("collected" in record for record in records)
    assert leaks(records, PHONE[1:], CODE, "your code") == []


def test_repr_of_a_message_has_no_phone_or_code() -> None:
    shown = repr(message())
    assert PHONE not in shown
    assert CODE not in shown


# Every real gateway


@real
@pytest.mark.parametrize("text", [ENGLISH, RUSSIAN], ids=["English", "Russian"])
async def test_the_text_arrives_unchanged(case: GatewayCase, text: str) -> None:
    await case.gateway.send(message(text))
    assert case.server.texts == [(PHONE, text)]


@real
@pytest.mark.parametrize("status", [301, 307, 400, 401, 404, 429, 500, 503])
async def test_an_error_status_raises_gateway_error(case: GatewayCase, status: int) -> None:
    case.server.default_response = twilio_error(status, 20001)
    with pytest.raises(GatewayError):
        await case.gateway.send(message())


@real
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_no_redirect_is_followed(case: GatewayCase, status: int) -> None:
    """A redirect would send the phone and the code elsewhere."""
    with hook_server() as elsewhere:
        case.server.default_response, case.server.location = (status, None), elsewhere.url
        with pytest.raises(GatewayError):
            await case.gateway.send(message())
        assert elsewhere.requests == []


@real
async def test_a_hanging_service_is_cut_off_by_the_timeout(case: GatewayCase) -> None:
    """It is tried only once, because it may have accepted the message."""
    case.server.hanging = True
    attempts = Attempts()
    started = time.monotonic()
    result = await Chain([case.gateway], timeout=0.6, on_attempt=attempts).send(
        message(), charge=charge
    )
    assert told(result) == (False, False)
    assert time.monotonic() - started < 2
    assert attempts.failures == [(case.gateway.name, "no response in 0.6 s")]
    assert len(case.server.requests) == 1


async def test_a_thread_of_a_hanging_service_ends(twilio_api: FakeGateway) -> None:
    """The read timeout ends it, since a thread cannot be cancelled."""
    twilio_api.hanging = True
    started = time.monotonic()
    with pytest.raises(GatewayError, match="Apprise reported a failure"):
        await SmsService(TWILIO).send(message())
    assert 4 < time.monotonic() - started < 7


@pytest.mark.parametrize("kind", ["hook", "twilio"])
async def test_an_unreachable_service_raises_gateway_error(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    redirect_twilio(NOWHERE, monkeypatch)
    gateway = hook_to(NOWHERE) if kind == "hook" else SmsService(TWILIO)
    with pytest.raises(GatewayError):
        await gateway.send(message())


# The hook gateway


async def test_the_hook_gets_signed_json(own_endpoint: FakeGateway) -> None:
    """Signed as Standard Webhooks defines. The secret in the URL is not sent."""
    endpoint_url = f"{own_endpoint.url}?team=a%2Bb"
    read = hook.parse(f"hook+{endpoint_url}&secret={HOOK_SECRET}&x=1")
    await hook.Hook(read, clock=now).send(message(RUSSIAN))
    (request,) = own_endpoint.requests
    assert request.path == "/sms?team=a%2Bb&x=1"
    assert request.headers["content-type"] == "application/json"
    assert Webhook(HOOK_SECRET).verify(request.body, request.headers) == {
        "phone": PHONE,
        "text": RUSSIAN,
        "code": CODE,
        "language": "en",
    }
    assert "MfKQ9r8GKYqr" not in str(request)


async def test_the_hook_gets_null_without_a_code(own_endpoint: FakeGateway) -> None:
    await hook_to(own_endpoint.url).send(
        Message(id="msg_1", phone=PHONE, text="Moved.", code=None, language="ru")
    )
    assert own_endpoint.jsons == [
        {"phone": PHONE, "text": "Moved.", "code": None, "language": "ru"}
    ]


async def test_every_secret_of_a_hook_signs(own_endpoint: FakeGateway) -> None:
    """The + and / of base64 may be percent-encoded in the URL, or not."""
    other = "whsec_" + base64.b64encode(b"\xfb\xff" * 16).decode()
    assert "+" in other
    assert "/" in other
    for written in (other, other.replace("+", "%2B").replace("/", "%2F").replace("=", "%3D")):
        url = f"{hook_url(own_endpoint.url)}&secret={written}"
        await hook.Hook(hook.parse(url), clock=now).send(message())
        request = own_endpoint.requests[-1]
        for secret in (HOOK_SECRET, other):
            Webhook(secret).verify(request.body, request.headers)


async def test_the_next_hook_gets_the_same_id_and_a_new_timestamp(
    own_endpoint: FakeGateway,
) -> None:
    """So one service behind both hooks can drop the duplicate."""
    times = iter([now() - timedelta(seconds=40), now()])
    own_endpoint.next_responses = [(503, None)]
    gateways = [hook_to(own_endpoint.url, clock=lambda: next(times)) for _ in range(2)]
    await Chain(gateways, timeout=5, on_attempt=Attempts()).send(message(), charge=charge)
    first, second = own_endpoint.requests
    assert first.headers["webhook-id"] == second.headers["webhook-id"] == "msg_1"
    apart = int(second.headers["webhook-timestamp"]) - int(first.headers["webhook-timestamp"])
    assert 39 <= apart <= 41
    for request in (first, second):
        Webhook(HOOK_SECRET).verify(request.body, request.headers)


@pytest.mark.parametrize(
    ("status", "failure"),
    [
        *((status, Failure.PHONE) for status in (400, 422)),
        *((status, Failure.NOT_TAKEN) for status in (401, 402, 403, 404, 405, 409, 413, 429)),
        *((status, Failure.UNKNOWN) for status in (301, 302, 307, 500, 501, 502, 503, 504)),
    ],
)
async def test_failure_for_each_status_of_a_hook(
    own_endpoint: FakeGateway, status: int, failure: Failure
) -> None:
    """The hook is tried only once."""
    own_endpoint.default_response = (status, None)
    attempts = Attempts()
    await Chain([hook_to(own_endpoint.url)], timeout=5, on_attempt=attempts).send(
        message(), charge=charge
    )
    assert attempts.outcomes == [("hook+http", failure)]
    assert len(own_endpoint.requests) == 1


async def test_an_unreachable_hook_has_accepted_nothing() -> None:
    attempts = Attempts()
    result = await Chain([hook_to(NOWHERE)], timeout=5, on_attempt=attempts).send(
        message(), charge=charge
    )
    assert attempts.outcomes == [("hook+http", Failure.NOT_TAKEN)]
    assert told(result) == (True, True)


async def test_a_hook_that_drops_the_connection_may_have_accepted(
    own_endpoint: FakeGateway,
) -> None:
    own_endpoint.hanging = True
    own_endpoint.ended.set()
    attempts = Attempts()
    chain = Chain([hook_to(own_endpoint.url)], timeout=5, on_attempt=attempts)
    assert told(await chain.send(message(), charge=charge)) == (False, False)
    assert attempts.outcomes == [("hook+http", Failure.NO_ANSWER)]


# Apprise


async def test_twilio_gets_a_request_of_its_api(twilio_api: FakeGateway) -> None:
    await SmsService(TWILIO).send(message())
    (request,) = twilio_api.requests
    assert request.path == f"/twilio/2010-04-01/Accounts/{TWILIO_SID}/Messages.json"
    basic = base64.b64encode(f"{TWILIO_SID}:{TWILIO_TOKEN}".encode()).decode()
    assert request.headers["authorization"] == f"Basic {basic}"
    assert request.headers["content-type"] == "application/x-www-form-urlencoded"
    assert twilio_api.forms == [{"From": TWILIO_SENDER, "To": PHONE, "Body": ENGLISH}]


async def test_phones_in_the_url_get_nothing(twilio_api: FakeGateway) -> None:
    await SmsService(f"{TWILIO}/+15005550008/?to=+15005550009").send(message())
    assert [form["To"] for form in twilio_api.forms] == [PHONE]


@pytest.mark.parametrize("phone", ["+68340001", "+290123456", "+4915123456789012"])
async def test_a_phone_apprise_rejects_gets_nothing_sent(
    phone: str, twilio_api: FakeGateway
) -> None:
    """Without a valid recipient, Apprise's Twilio would send to the sender's own number."""
    with pytest.raises(GatewayError, match="does not accept this phone"):
        await SmsService(TWILIO).send(message(phone=phone))
    assert twilio_api.requests == []


def test_schemes_are_those_of_apprise_that_take_phones() -> None:
    """Except for messengers, and for services that need another library."""
    from apprise import Apprise  # noqa: PLC0415 - imported late, as in sms.py

    messengers = {"dingtalk", "evolution", "evolutions", "gupshup", "signal", "signals", "threema"}
    messengers |= {"whapi", "whatsapp"}
    need_library = {"smpp", "smpps"}
    taking_phones = {
        scheme
        for each in Apprise().details(show_disabled=True)["schemas"]
        for scheme in [*(each["protocols"] or []), *(each["secure_protocols"] or [])]
        if any(token.startswith("target_phone") for token in each["details"]["tokens"])
    }
    assert sms.SCHEMES - {"sfr"} == taking_phones - messengers - need_library


@pytest.mark.parametrize(
    "url",
    [
        TWILIO,
        "vonage://abcdef12:0123456789abcdef@15005550007",
        "clicksend://user:key@",
        "sns://AHIAJGNT76XIMXDBIJYA/bu1dHSdO22pfaaVy/us-east-2/",
        "msgbird://0123456789012345678901234/15005550007",
    ],
)
def test_the_url_of_a_service_needs_no_phone(url: str) -> None:
    assert urls.parse(url, production=True) == (url,)


def test_without_the_extra_the_error_says_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "apprise", None)
    with pytest.raises(ValueError, match=r"^twilio:// needs .* `pip install '\.\[sms\]'`"):
        urls.parse(TWILIO, production=False)
    urls.parse(hook_url("https://team.example/sms"), production=True)


# A chain


@dataclass
class Stub:
    """A gateway that takes so many seconds, then raises its next error, if any is left."""

    name: str
    errors: list[Exception] = field(default_factory=list)
    seconds: float = 0
    echoes_code: bool = False
    calls: int = 0

    async def send(self, _: Message) -> None:
        self.calls += 1
        await asyncio.sleep(self.seconds)
        if self.errors:
            raise self.errors.pop(0)


NOT_TAKEN, ABOUT_PHONE, UNKNOWN = (
    GatewayError("said no", failure)
    for failure in (Failure.NOT_TAKEN, Failure.PHONE, Failure.UNKNOWN)
)
TAKEN, HANGS = "taken", "hangs"


async def sent_by(
    *outcomes: Exception | str, allowed: int = 5
) -> tuple[list[int], SendResult, Attempts, int]:
    """Send a message through gateways with these outcomes. allowed: how many more may be charged.

    Return how often each was called, the result, the attempts, and how many more were charged.
    """
    attempts, more = Attempts(), 0
    stubs = [
        Stub(
            f"{number}",
            [outcome] * 5 if isinstance(outcome, Exception) else [],
            seconds=30 if outcome == HANGS else 0,
        )
        for number, outcome in enumerate(outcomes)
    ]

    async def charge_one_more() -> bool:
        nonlocal more
        more += more < allowed
        return more <= allowed and allowed > 0

    result = await Chain(stubs, timeout=0.2, on_attempt=attempts).send(
        message(), charge=charge_one_more
    )
    return [stub.calls for stub in stubs], result, attempts, more


@pytest.mark.parametrize(
    ("outcomes", "calls", "charged", "result"),
    [
        ([TAKEN, TAKEN], [1, 0], 0, (False, False)),
        # Certainly not accepted: the next gateway gets the same message
        ([NOT_TAKEN, NOT_TAKEN, TAKEN], [1, 1, 1], 0, (False, False)),
        ([NOT_TAKEN, NOT_TAKEN], [1, 1], 0, (True, True)),
        # Unknown: one more message through the next gateway, and no third
        ([UNKNOWN, TAKEN], [1, 1], 1, (False, False)),
        ([UNKNOWN, UNKNOWN, TAKEN], [1, 1, 0], 1, (True, False)),
        ([HANGS, HANGS, TAKEN], [1, 1, 0], 1, (False, False)),
        ([HANGS, UNKNOWN], [1, 1], 1, (False, False)),
        ([UNKNOWN], [1], 0, (True, False)),
        ([HANGS], [1], 0, (False, False)),
        # Of two messages, the one that was certainly not accepted is refunded
        (
            [UNKNOWN, NOT_TAKEN, NOT_TAKEN],
            [1, 1, 1],
            1,
            (True, True),
        ),
        ([HANGS, NOT_TAKEN], [1, 1], 1, (False, True)),
        ([NOT_TAKEN, UNKNOWN, TAKEN], [1, 1, 1], 1, (False, False)),
        # A failure because of the phone changes neither the response nor the phone's limits
        ([ABOUT_PHONE], [1], 0, (False, False)),
        ([ABOUT_PHONE, TAKEN], [1, 1], 0, (False, False)),
        ([ABOUT_PHONE, NOT_TAKEN], [1, 1], 0, (False, False)),
        ([NOT_TAKEN, ABOUT_PHONE], [1, 1], 0, (False, False)),
        ([UNKNOWN, ABOUT_PHONE], [1, 1], 1, (False, False)),
        # Nor is a second message charged, by which the phone's counts would tell
        ([ABOUT_PHONE, UNKNOWN, TAKEN], [1, 1, 0], 0, (False, False)),
        ([ABOUT_PHONE, HANGS, TAKEN], [1, 1, 0], 0, (False, False)),
        ([RuntimeError(PHONE), TAKEN], [1, 1], 1, (False, False)),
    ],
)
async def test_result_of_a_chain(
    outcomes: list[Exception | str],
    calls: list[int],
    charged: int,
    result: tuple[bool, bool],
) -> None:
    found_calls, found, _, more = await sent_by(*outcomes)
    assert (found_calls, more, told(found)) == (calls, charged, result)


@pytest.mark.parametrize("first", [UNKNOWN, HANGS])
async def test_no_second_message_beyond_the_limits(first: Exception | str) -> None:
    calls, result, _, _ = await sent_by(first, TAKEN, allowed=0)
    assert calls == [1, 0]
    assert told(result) == (first is UNKNOWN, False)


async def test_each_failure_is_reported_without_the_phone() -> None:
    """Of a library's error only the type is reported."""
    _, _, attempts, _ = await sent_by(GatewayError("status 401"), RuntimeError(PHONE))
    assert attempts.failures == [("0", "status 401"), ("1", "RuntimeError")]
    assert attempts.phones == {PHONE}


async def test_a_gateway_without_a_connection_is_tried_twice() -> None:
    again = GatewayError("ConnectError", Failure.NOT_TAKEN, may_retry=True)
    recovers, other = Stub("recovers", [again]), Stub("other")
    result = await Chain([recovers, other], timeout=5, on_attempt=Attempts()).send(
        message(), charge=charge
    )
    assert result.is_accepted
    assert (recovers.calls, other.calls) == (2, 0)
    broken = Stub("broken", [again] * 5)
    result = await Chain([broken, other], timeout=5, on_attempt=Attempts()).send(
        message(), charge=charge
    )
    assert result.is_accepted
    assert (broken.calls, other.calls) == (2, 1)


async def test_no_retry_that_could_be_cut_off_while_it_connects() -> None:
    """Whether it was accepted would be unknown, and no other gateway or channel would be tried."""
    again = GatewayError("ConnectTimeout", Failure.NOT_TAKEN, may_retry=True)
    broken = Stub("broken", [again] * 5, seconds=0.1)
    time_left = post.CONNECT_SECONDS + 0.3
    result = await Chain([broken], timeout=time_left, on_attempt=Attempts()).send(
        message(), charge=charge
    )
    assert (broken.calls, result.was_not_accepted) == (1, True)


async def test_a_chain_of_real_gateways(twilio_api: FakeGateway, own_endpoint: FakeGateway) -> None:
    attempts = Attempts()
    chain = Chain([SmsService(TWILIO), hook_to(own_endpoint.url)], timeout=8, on_attempt=attempts)
    await chain.send(message(), charge=charge)
    assert (len(twilio_api.requests), len(own_endpoint.requests)) == (1, 0)
    twilio_api.default_response = twilio_error(400, 21211)
    await chain.send(message(), charge=charge)
    assert (len(twilio_api.requests), own_endpoint.texts) == (2, [(PHONE, ENGLISH)])
    assert attempts.failures == [("twilio", "Apprise reported a failure")]


# Through the service


@pytest.fixture(params=[*REAL, "chain"])
def sms_url(request: pytest.FixtureRequest, own_endpoint: FakeGateway) -> str:
    """A REFERRAL_SMS_URL for each. The first gateway of the chain cannot be reached."""
    url: str = {
        "hook": hook_url(own_endpoint.url),
        "twilio": TWILIO,
        "chain": f"{hook_url(NOWHERE)}, {TWILIO}",
    }[request.param]
    return url


def received(*fakes: FakeGateway) -> list[tuple[str, str]]:
    return [each for fake in fakes for each in fake.texts]


@pytest.mark.parametrize(
    ("language", "words"),
    [("en-GB", "is your code for Друзья."), ("ru-RU,ru;q=0.9,en;q=0.8", "— ваш код для Друзья.")],
)
async def test_sign_in_with_a_received_code(
    database_url: str,
    sms_url: str,
    language: str,
    words: str,
    twilio_api: FakeGateway,
    own_endpoint: FakeGateway,
) -> None:
    """It is in the caller's language. Neither the response nor a log contains the code."""
    variables = {"REFERRAL_SMS_URL": sms_url, "REFERRAL_APP_NAME": "Друзья"}
    async with sending(database_url, **variables) as service:
        phone = new_phone()
        with everything_logged() as records:
            response = await service.http.post(
                "/api/v1/auth/send-code",
                json={"phone": phone},
                headers={"Accept-Language": language},
            )
            sent = ok(response)
        assert "code" not in sent
        assert sent["code_length"] == 6
        ((to, text),) = received(twilio_api, own_endpoint)
        assert to == phone
        assert words in text
        assert leaks(records, phone[1:], code_in(text)) == []
        verified = await service.verify({**sent, "code": code_in(text)})
        assert verified.status_code == 201


async def test_the_old_phone_is_notified_in_the_callers_language(
    database_url: str, own_endpoint: FakeGateway
) -> None:
    url = hook_url(own_endpoint.url)
    async with sending(database_url, REFERRAL_SMS_URL=url) as service:
        old, new = new_phone(), new_phone()
        sent = await service.send_code(old)
        signed_in = ok(await service.verify({**sent, "code": code_in(own_endpoint.texts[-1][1])}))
        headers = {
            "Authorization": f"Bearer {signed_in['access_token']}",
            "Accept-Language": "ru",
        }
        sent = ok(
            await service.http.post(
                "/api/v1/profile/phone/send-code", json={"phone": new}, headers=headers
            )
        )
        code = code_in(own_endpoint.texts[-1][1])
        ok(
            await service.http.put(
                "/api/v1/profile/phone",
                json={"token": sent["token"], "code": code},
                headers=headers,
            )
        )
    last = own_endpoint.jsons[-1]
    assert (last["phone"], last["code"], last["language"]) == (old, None, "ru")
    assert last["text"].startswith("У вашего аккаунта Referral")
    assert new not in last["text"]


async def test_a_failing_gateway_is_logged_by_its_scheme(
    database_url: str, sms_url: str, twilio_api: FakeGateway, own_endpoint: FakeGateway
) -> None:
    async with sending(database_url, REFERRAL_SMS_URL=sms_url) as service:
        twilio_api.default_response = own_endpoint.default_response = twilio_error(500, 20500)
        phone = new_phone()
        with everything_logged() as records:
            response = await service.post("/auth/send-code", phone=phone)
            refused(response, 503, "sms_unavailable")
            assert 0 < int(response.headers["retry-after"]) <= 60
        failing = {url.strip().partition(":")[0] for url in sms_url.split(",")}
        logged = [record for record in records if "gateway_failed" in record]
        assert {name for name in failing if any(f"'{name}'" in each for each in logged)} == failing
        assert leaks(records, phone[1:], HOOK_SECRET, TWILIO_TOKEN) == []


async def test_a_test_phone_gets_no_message_and_no_code(
    database_url: str, sms_url: str, twilio_api: FakeGateway, own_endpoint: FakeGateway
) -> None:
    until = date(2026, 3, 1)
    variables = {
        "REFERRAL_SMS_URL": sms_url,
        "REFERRAL_TEST_PHONES": f"+79999990001=12345678@{until}",
    }
    async with sending(database_url, **variables) as service:
        service.clock.move(days=(until - service.clock().date()).days)
        sent = await service.send_code("+79999990001")
        assert sent["code_length"] == 8
        assert "code" not in sent
        assert (await service.verify({**sent, "code": "12345678"})).status_code == 201
        assert received(twilio_api, own_endpoint) == []
        await service.send_code(new_phone())
        assert len(received(twilio_api, own_endpoint)) == 1


async def test_a_country_that_is_not_allowed_gets_no_message(
    database_url: str, sms_url: str, twilio_api: FakeGateway, own_endpoint: FakeGateway
) -> None:
    variables = {"REFERRAL_SMS_URL": sms_url, "REFERRAL_COUNTRIES_ALLOWED": "DE"}
    async with sending(database_url, **variables) as service:
        response = await service.post("/auth/send-code", phone=new_phone())
        refused(response, 400, "unsupported_phone")
    assert received(twilio_api, own_endpoint) == []


async def test_a_hanging_gateway_delays_no_other_request(
    database_url: str, own_endpoint: FakeGateway
) -> None:
    """Sign-ins go on, and no database connection is held.

    The sends that hang succeed in the end, because their codes may still arrive.
    """
    url = hook_url(own_endpoint.url)
    async with sending(database_url, REFERRAL_SMS_URL=url, REFERRAL_COST_GUARD="off") as service:
        sent = await service.send_code(new_phone())
        code = code_in(own_endpoint.texts[-1][1])
        own_endpoint.hanging = True
        waiting = [
            asyncio.create_task(service.post("/auth/send-code", phone=new_phone()))
            for _ in range(20)
        ]
        await _wait_for_requests(own_endpoint, 21)
        started = time.monotonic()
        signed_in = ok(await service.verify({**sent, "code": code}))
        assert time.monotonic() - started < 1
        assert (await _profile(service, signed_in["access_token"])) == signed_in["profile"]
        own_endpoint.ended.set()
        for response in await asyncio.gather(*waiting):
            ok(response)


async def _wait_for_requests(fake: FakeGateway, count: int) -> None:
    async with asyncio.timeout(10):
        while len(fake.requests) < count:  # noqa: ASYNC110 - another thread adds to it
            await asyncio.sleep(0.02)


async def _profile(service: Service, access_token: str) -> dict[str, object]:
    return ok(await service.get("/api/v1/profile", Authorization=f"Bearer {access_token}"))
