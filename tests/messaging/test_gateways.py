"""Ways to reach a phone: what holds for each, then each by itself, then signing in through them."""

from __future__ import annotations

import asyncio
import base64
import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

import pytest
from standardwebhooks import Webhook

from referral.messaging.gateways import (
    Failure,
    Gateway,
    GatewayError,
    Message,
    hook_endpoint,
    sms,
    urls,
)
from referral.messaging.gateways.chain import Chain, Result
from referral.messaging.gateways.console import Console
from referral.messaging.gateways.hook import Hook
from referral.messaging.gateways.simulated import Simulated
from referral.messaging.gateways.sms import SmsService
from senders import (
    HOOK_SECRET,
    TWILIO_SENDER,
    TWILIO_SID,
    TWILIO_TOKEN,
    Sender,
    code_in,
    endpoint,
    twilio,
    twilio_error,
)
from support import Service, new_phone, ok, refused, sending

# Nothing that listens, and no name to look up
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
class Told:
    """What a chain told of its gateways."""

    failures: list[tuple[str, str]] = field(default_factory=list)
    phones: set[str] = field(default_factory=set)
    outcomes: list[tuple[str, Failure | None]] = field(default_factory=list)

    def __call__(self, gateway: str, phone: str, failure: Failure | None, reason: str) -> None:
        self.phones.add(phone)
        self.outcomes.append((gateway, failure))
        if failure:
            self.failures.append((gateway, reason))


async def charge() -> bool:
    """A phone that may get any number of messages."""
    return True


def hook_url(sender_url: str, *, secret: str = HOOK_SECRET) -> str:
    return f"hook+{sender_url}?secret={secret}"


def hook_to(sender_url: str, *, clock: Callable[[], datetime] = now) -> Hook:
    return Hook(hook_endpoint.parse(hook_url(sender_url), production=False), clock=clock)


@pytest.fixture
def twilio_api(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sender]:
    """Apprise's Twilio leads to this server."""
    with twilio() as sender:
        lead_twilio_to(sender.url, monkeypatch)
        yield sender


@pytest.fixture
def own_endpoint() -> Iterator[Sender]:
    with endpoint() as sender:
        yield sender


def lead_twilio_to(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from apprise.plugins.twilio import NotifyTwilio  # noqa: PLC0415 - as late as the service does

    path = "/2010-04-01/Accounts/{sid}/Messages.json"
    assert NotifyTwilio.notify_sms_url == f"https://api.twilio.com{path}"
    monkeypatch.setattr(NotifyTwilio, "notify_sms_url", url + path)


@dataclass
class Way:
    """A gateway, and the server behind a real one."""

    gateway: Gateway
    sender: Sender | None

    @property
    def server(self) -> Sender:
        assert self.sender is not None
        return self.sender


@pytest.fixture
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Way]:
    """The gateway of this name, and where it is real the server behind it."""
    match request.param:
        case "simulated":
            yield Way(Simulated(lambda: 0), None)
        case "console":
            yield Way(Console(), None)
        case "hook":
            with endpoint() as sender:
                yield Way(hook_to(sender.url), sender)
        case "twilio":
            with twilio() as sender:
                lead_twilio_to(sender.url, monkeypatch)
                yield Way(SmsService(TWILIO), sender)


every = pytest.mark.parametrize("way", EVERY, indirect=True)
real = pytest.mark.parametrize("way", REAL, indirect=True)


@contextmanager
def everything_logged() -> Iterator[list[str]]:
    """Each record of every logger, with all that hangs on it."""
    records: list[str] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            records.append(f"{record.getMessage()} {record.__dict__}")

    root, handler = logging.getLogger(), Keep(level=logging.NOTSET)
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        yield records
    finally:
        root.setLevel(level)
        root.removeHandler(handler)


def tells(records: list[str], *secrets: str) -> list[str]:
    return [record for record in records if any(secret in record for secret in secrets)]


# Every gateway


@every
@pytest.mark.parametrize("text", [ENGLISH, RUSSIAN], ids=["English", "Russian"])
async def test_it_takes_a_message(way: Way, text: str) -> None:
    await way.gateway.send(message(text))


@every
async def test_only_the_simulated_one_echoes_codes(way: Way) -> None:
    assert way.gateway.echoes_code == isinstance(way.gateway, Simulated)


@every
async def test_it_takes_many_at_once(way: Way) -> None:
    phones = [new_phone() for _ in range(40)]
    await asyncio.gather(*(way.gateway.send(message(phone=phone)) for phone in phones))
    if way.sender is not None:
        assert sorted(phone for phone, _ in way.sender.texts) == sorted(phones)


@every
@pytest.mark.parametrize("status", [201, 400, 500])
async def test_no_log_has_a_phone_a_text_or_a_code(way: Way, status: int) -> None:
    """Whatever any library logs at any level, also where the service answers with all of it."""
    with everything_logged() as records:
        logging.getLogger("canary").debug("heard")
        if way.sender is not None:
            way.sender.usual = (status, {"code": 21211, "message": ENGLISH, "to": PHONE})
        fails = status != 201 and way.sender is not None
        with pytest.raises(GatewayError) if fails else nullcontext():
            try:
                await way.gateway.send(message())
            except GatewayError:
                logging.getLogger("canary").exception("failed")
                raise
    assert any("heard" in record for record in records)
    assert tells(records, PHONE[1:], CODE, "your code") == []


def test_a_message_shown_anywhere_gives_nothing_away() -> None:
    shown = repr(message())
    assert PHONE not in shown
    assert CODE not in shown


# Every real gateway


@real
@pytest.mark.parametrize("text", [ENGLISH, RUSSIAN], ids=["English", "Russian"])
async def test_the_phone_gets_the_text_as_it_is(way: Way, text: str) -> None:
    await way.gateway.send(message(text))
    assert way.server.texts == [(PHONE, text)]


@real
@pytest.mark.parametrize("status", [301, 307, 400, 401, 404, 429, 500, 503])
async def test_what_the_service_refuses_has_failed(way: Way, status: int) -> None:
    way.server.usual = twilio_error(status, 20001)
    with pytest.raises(GatewayError):
        await way.gateway.send(message())


@real
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_no_redirect_is_followed(way: Way, status: int) -> None:
    """It would carry the phone and the code to another place."""
    with endpoint() as elsewhere:
        way.server.usual, way.server.location = (status, None), elsewhere.url
        with pytest.raises(GatewayError):
            await way.gateway.send(message())
        assert elsewhere.requests == []


@real
async def test_a_service_that_hangs_takes_no_more_than_its_time(way: Way) -> None:
    """And it has the message, perhaps, so that it is not asked twice."""
    way.server.hanging = True
    told = Told()
    started = time.monotonic()
    result = await Chain([way.gateway], seconds=0.6, told=told).send(message(), charge=charge)
    assert result == Result(has_failed=False, unused=False)
    assert time.monotonic() - started < 2
    assert told.failures == [(way.gateway.name, "no answer in 0.6 s")]
    assert len(way.server.requests) == 1


async def test_a_hanging_service_ends_by_itself(twilio_api: Sender) -> None:
    """Its thread cannot be ended from outside."""
    twilio_api.hanging = True
    started = time.monotonic()
    with pytest.raises(GatewayError, match="not taken"):
        await SmsService(TWILIO).send(message())
    assert 4 < time.monotonic() - started < 7


@pytest.mark.parametrize("kind", ["hook", "twilio"])
async def test_a_service_that_is_not_there_has_failed(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    lead_twilio_to(NOWHERE, monkeypatch)
    gateway = hook_to(NOWHERE) if kind == "hook" else SmsService(TWILIO)
    with pytest.raises(GatewayError):
        await gateway.send(message())


# The team's own endpoint


async def test_the_hook_gets_a_signed_json(own_endpoint: Sender) -> None:
    """As Standard Webhooks has it; and no secret travels."""
    endpoint_url = f"{own_endpoint.url}?team=a%2Bb"
    read = hook_endpoint.parse(f"hook+{endpoint_url}&secret={HOOK_SECRET}&x=1", production=False)
    await Hook(read, clock=now).send(message(RUSSIAN))
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


async def test_a_message_without_a_code_says_so(own_endpoint: Sender) -> None:
    await hook_to(own_endpoint.url).send(
        Message(id="msg_1", phone=PHONE, text="Moved.", code=None, language="ru")
    )
    assert own_endpoint.jsons == [
        {"phone": PHONE, "text": "Moved.", "code": None, "language": "ru"}
    ]


async def test_every_secret_signs_while_rotating(own_endpoint: Sender) -> None:
    """A secret is base64, with + and / as they are, or percent-encoded."""
    other = "whsec_" + base64.b64encode(b"\xfb\xff" * 16).decode()
    assert "+" in other
    assert "/" in other
    for spelt in (other, other.replace("+", "%2B").replace("/", "%2F").replace("=", "%3D")):
        url = f"{hook_url(own_endpoint.url)}&secret={spelt}"
        await Hook(hook_endpoint.parse(url, production=False), clock=now).send(message())
        request = own_endpoint.requests[-1]
        for secret in (HOOK_SECRET, other):
            Webhook(secret).verify(request.body, request.headers)


async def test_a_second_try_has_the_same_id_and_a_fresh_timestamp(own_endpoint: Sender) -> None:
    """At the next endpoint, so that one receiver behind both can drop the second."""
    times = iter([now() - timedelta(seconds=40), now()])
    own_endpoint.answers = [(503, None)]
    gateways = [hook_to(own_endpoint.url, clock=lambda: next(times)) for _ in range(2)]
    await Chain(gateways, seconds=5, told=Told()).send(message(), charge=charge)
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
async def test_what_a_status_of_the_endpoint_says(
    own_endpoint: Sender, status: int, failure: Failure
) -> None:
    """And it is asked once: what it did before it answered, nobody knows."""
    own_endpoint.usual = (status, None)
    told = Told()
    await Chain([hook_to(own_endpoint.url)], seconds=5, told=told).send(message(), charge=charge)
    assert told.outcomes == [("hook+http", failure)]
    assert len(own_endpoint.requests) == 1


async def test_an_endpoint_that_is_not_there_has_taken_nothing() -> None:
    told = Told()
    result = await Chain([hook_to(NOWHERE)], seconds=5, told=told).send(message(), charge=charge)
    assert told.outcomes == [("hook+http", Failure.NOT_TAKEN)]
    assert result == Result(has_failed=True, unused=True)


async def test_an_endpoint_that_breaks_off_may_have_taken_it(own_endpoint: Sender) -> None:
    own_endpoint.hanging = True
    own_endpoint.ended.set()
    told = Told()
    chain = Chain([hook_to(own_endpoint.url)], seconds=5, told=told)
    assert await chain.send(message(), charge=charge) == Result(has_failed=False, unused=False)
    assert told.outcomes == [("hook+http", Failure.NO_ANSWER)]


# Apprise


async def test_twilio_gets_what_its_api_takes(twilio_api: Sender) -> None:
    await SmsService(TWILIO).send(message())
    (request,) = twilio_api.requests
    assert request.path == f"/twilio/2010-04-01/Accounts/{TWILIO_SID}/Messages.json"
    basic = base64.b64encode(f"{TWILIO_SID}:{TWILIO_TOKEN}".encode()).decode()
    assert request.headers["authorization"] == f"Basic {basic}"
    assert request.headers["content-type"] == "application/x-www-form-urlencoded"
    assert twilio_api.forms == [{"From": TWILIO_SENDER, "To": PHONE, "Body": ENGLISH}]


async def test_phones_in_the_url_get_nothing(twilio_api: Sender) -> None:
    await SmsService(f"{TWILIO}/+15005550008/?to=+15005550009").send(message())
    assert [form["To"] for form in twilio_api.forms] == [PHONE]


@pytest.mark.parametrize("phone", ["+68340001", "+290123456", "+4915123456789012"])
async def test_a_phone_that_apprise_takes_for_none_is_not_told_to_the_sender(
    phone: str, twilio_api: Sender
) -> None:
    """Apprise's Twilio sends to the sender's own number where no phone is left."""
    with pytest.raises(GatewayError, match="takes no such phone"):
        await SmsService(TWILIO).send(message(phone=phone))
    assert twilio_api.requests == []


def test_each_scheme_that_is_taken_sends_to_phones() -> None:
    """And every one of Apprise's that takes phones is taken, or known not to be an SMS service."""
    from apprise import Apprise  # noqa: PLC0415 - as late as the service does

    messengers = {"dingtalk", "evolution", "evolutions", "gupshup", "signal", "signals", "threema"}
    messengers |= {"whapi", "whatsapp"}
    need_more = {"smpp", "smpps"}  # a library
    taking_phones = {
        scheme
        for each in Apprise().details(show_disabled=True)["schemas"]
        for scheme in [*(each["protocols"] or []), *(each["secure_protocols"] or [])]
        if any(token.startswith("target_phone") for token in each["details"]["tokens"])
    }
    assert sms.SCHEMES - {"sfr"} == taking_phones - messengers - need_more


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
def test_the_url_of_a_service_is_read_without_a_phone(url: str) -> None:
    assert urls.parse(url, production=True) == (url,)


def test_without_the_extra_one_line_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "apprise", None)
    with pytest.raises(ValueError, match=r"^twilio:// needs .* `pip install '\.\[sms\]'`"):
        urls.parse(TWILIO, production=False)
    urls.parse(hook_url("https://team.example/sms"), production=True)


# A chain


@dataclass
class Stub:
    """A gateway that does what it is told."""

    name: str
    errors: list[Exception] = field(default_factory=list)
    seconds: float = 0
    echoes_code: bool = False
    tries: int = 0

    async def send(self, _: Message) -> None:
        self.tries += 1
        await asyncio.sleep(self.seconds)
        if self.errors:
            raise self.errors.pop(0)


NOT_TAKEN, ABOUT_PHONE, UNKNOWN = (
    GatewayError("said no", failure)
    for failure in (Failure.NOT_TAKEN, Failure.PHONE, Failure.UNKNOWN)
)
# Taken, and one that never answers
TAKEN, HANGS = "taken", "hangs"


async def sent_by(
    *outcomes: Exception | str, allowed: int = 5
) -> tuple[list[int], Result, Told, int]:
    """A message to gateways that do so: how often each was asked, what became of the message, what
    was told, and how many more messages were charged. allowed: so many may be.
    """
    told, more = Told(), 0
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

    result = await Chain(stubs, seconds=0.2, told=told).send(message(), charge=charge_one_more)
    return [stub.tries for stub in stubs], result, told, more


@pytest.mark.parametrize(
    ("outcomes", "tries", "charged", "result"),
    [
        ([TAKEN, TAKEN], [1, 0], 0, Result()),
        # Nothing was taken: the next one gets the same message
        ([NOT_TAKEN, NOT_TAKEN, TAKEN], [1, 1, 1], 0, Result()),
        ([NOT_TAKEN, NOT_TAKEN], [1, 1], 0, Result(has_failed=True, unused=True)),
        # Nobody knows: one more message to the next one, and no third
        ([UNKNOWN, TAKEN], [1, 1], 1, Result()),
        ([UNKNOWN, UNKNOWN, TAKEN], [1, 1, 0], 1, Result(has_failed=True)),
        ([HANGS, HANGS, TAKEN], [1, 1, 0], 1, Result()),
        ([HANGS, UNKNOWN], [1, 1], 1, Result()),
        ([UNKNOWN], [1], 0, Result(has_failed=True)),
        ([HANGS], [1], 0, Result()),
        # Of two messages, the one that was surely not taken comes back
        ([UNKNOWN, NOT_TAKEN, NOT_TAKEN], [1, 1, 1], 1, Result(has_failed=True, unused=True)),
        ([HANGS, NOT_TAKEN], [1, 1], 1, Result(unused=True)),
        ([NOT_TAKEN, UNKNOWN, TAKEN], [1, 1, 1], 1, Result()),
        # What is said about the phone changes neither the answer nor its counts
        ([ABOUT_PHONE], [1], 0, Result()),
        ([ABOUT_PHONE, TAKEN], [1, 1], 0, Result()),
        ([ABOUT_PHONE, NOT_TAKEN], [1, 1], 0, Result()),
        ([NOT_TAKEN, ABOUT_PHONE], [1, 1], 0, Result()),
        ([UNKNOWN, ABOUT_PHONE], [1, 1], 1, Result()),
        ([RuntimeError(PHONE), TAKEN], [1, 1], 1, Result()),
    ],
)
async def test_what_becomes_of_a_message(
    outcomes: list[Exception | str],
    tries: list[int],
    charged: int,
    result: Result,
) -> None:
    """In a chain of gateways that take it, do not take it, do not say, or hang."""
    seen, found, _, more = await sent_by(*outcomes)
    assert (seen, more, found) == (tries, charged, result)


@pytest.mark.parametrize("first", [UNKNOWN, HANGS])
async def test_a_phone_that_may_get_no_second_message_gets_none(first: Exception | str) -> None:
    seen, result, _, _ = await sent_by(first, TAKEN, allowed=0)
    assert seen == [1, 0]
    assert result == Result(has_failed=first is UNKNOWN, unused=False)


async def test_each_that_failed_is_told_without_a_phone() -> None:
    """Of a foreign error its type only."""
    _, _, told, _ = await sent_by(GatewayError("status 401"), RuntimeError(PHONE))
    assert told.failures == [("0", "status 401"), ("1", "RuntimeError")]
    assert told.phones == {PHONE}


async def test_one_without_a_connection_is_asked_once_more() -> None:
    again = GatewayError("ConnectError", Failure.NOT_TAKEN, may_repeat=True)
    recovers, other = Stub("recovers", [again]), Stub("other")
    result = await Chain([recovers, other], seconds=5, told=Told()).send(message(), charge=charge)
    assert result == Result()
    assert (recovers.tries, other.tries) == (2, 0)
    broken = Stub("broken", [again] * 5)
    result = await Chain([broken, other], seconds=5, told=Told()).send(message(), charge=charge)
    assert result == Result()
    assert (broken.tries, other.tries) == (2, 1)


async def test_the_real_ones_stand_in_for_each_other(
    twilio_api: Sender, own_endpoint: Sender
) -> None:
    told = Told()
    chain = Chain([SmsService(TWILIO), hook_to(own_endpoint.url)], seconds=8, told=told)
    await chain.send(message(), charge=charge)
    assert (len(twilio_api.requests), len(own_endpoint.requests)) == (1, 0)
    twilio_api.usual = twilio_error(400, 21211)
    await chain.send(message(), charge=charge)
    assert (len(twilio_api.requests), own_endpoint.texts) == (2, [(PHONE, ENGLISH)])
    assert told.failures == [("twilio", "not taken")]


# Through the service


@pytest.fixture(params=[*REAL, "chain"])
def sms_url(request: pytest.FixtureRequest, own_endpoint: Sender) -> str:
    """A REFERRAL_SMS_URL for each; the chain's first is away."""
    url: str = {
        "hook": hook_url(own_endpoint.url),
        "twilio": TWILIO,
        "chain": f"{hook_url(NOWHERE)}, {TWILIO}",
    }[request.param]
    return url


def received(*senders: Sender) -> list[tuple[str, str]]:
    return [each for sender in senders for each in sender.texts]


@pytest.mark.parametrize(
    ("language", "words"),
    [("en-GB", "is your code for Друзья."), ("ru-RU,ru;q=0.9,en;q=0.8", "— ваш код для Друзья.")],
)
async def test_sign_in_with_a_received_code(
    database_url: str,
    sms_url: str,
    language: str,
    words: str,
    twilio_api: Sender,
    own_endpoint: Sender,
) -> None:
    """In the caller's language; nothing of the answer or of a log has the code."""
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
        assert tells(records, phone[1:], code_in(text)) == []
        answer = await service.verify({**sent, "code": code_in(text)})
        assert answer.status_code == 201


async def test_a_change_of_phone_tells_the_old_one_in_the_callers_language(
    database_url: str, own_endpoint: Sender
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
    assert last["text"].startswith("Аккаунт Referral")
    assert new not in last["text"]


async def test_a_gateway_that_fails_is_told_by_its_scheme(
    database_url: str, sms_url: str, twilio_api: Sender, own_endpoint: Sender
) -> None:
    async with sending(database_url, REFERRAL_SMS_URL=sms_url) as service:
        twilio_api.usual = own_endpoint.usual = twilio_error(500, 20500)
        phone = new_phone()
        with everything_logged() as records:
            response = await service.post("/auth/send-code", phone=phone)
            refused(response, 503, "sms_unavailable")
            assert 0 < int(response.headers["retry-after"]) <= 60
        failing = {url.strip().partition(":")[0] for url in sms_url.split(",")}
        told = [record for record in records if "gateway_failed" in record]
        assert {name for name in failing if any(f"'{name}'" in each for each in told)} == failing
        assert tells(records, phone[1:], HOOK_SECRET, TWILIO_TOKEN) == []


async def test_a_test_phone_gets_no_message_and_its_code_is_not_told(
    database_url: str, sms_url: str, twilio_api: Sender, own_endpoint: Sender
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


async def test_a_country_that_is_not_served_gets_no_message(
    database_url: str, sms_url: str, twilio_api: Sender, own_endpoint: Sender
) -> None:
    variables = {"REFERRAL_SMS_URL": sms_url, "REFERRAL_COUNTRIES_ALLOWED": "DE"}
    async with sending(database_url, **variables) as service:
        response = await service.post("/auth/send-code", phone=new_phone())
        refused(response, 400, "unsupported_phone")
    assert received(twilio_api, own_endpoint) == []


async def test_a_hanging_gateway_holds_up_nobody_else(
    database_url: str, own_endpoint: Sender
) -> None:
    """Neither those who sign in with an earlier code, nor the database's few connections.

    Their codes may still arrive, so they get challenges.
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
        await _reached(own_endpoint, 21)
        started = time.monotonic()
        signed_in = ok(await service.verify({**sent, "code": code}))
        assert time.monotonic() - started < 1
        assert (await _profile(service, signed_in["access_token"])) == signed_in["profile"]
        own_endpoint.ended.set()
        for response in await asyncio.gather(*waiting):
            ok(response)


async def _reached(sender: Sender, count: int) -> None:
    async with asyncio.timeout(10):
        while len(sender.requests) < count:  # noqa: ASYNC110 - it fills in another thread
            await asyncio.sleep(0.02)


async def _profile(service: Service, access_token: str) -> dict[str, object]:
    return ok(await service.get("/api/v1/profile", Authorization=f"Bearer {access_token}"))
