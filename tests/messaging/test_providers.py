"""Behaviour that the gateways of Telegram, WhatsApp and Twilio's calls share."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

import pytest

from fake_gateways import (
    TELEGRAM_TOKEN,
    TWILIO_SENDER,
    TWILIO_SID,
    VOICE_TOKEN,
    WHATSAPP_NUMBER_ID,
    WHATSAPP_SECRET,
    WHATSAPP_TOKEN,
    FakeGateway,
    Request,
    hook_server,
    telegram_error,
    telegram_gateway,
    twilio_error,
    twilio_voice,
    whatsapp_cloud,
    whatsapp_error,
)
from logs import everything_logged, leaks
from referral.messaging.gateways import (
    Failure,
    Gateway,
    GatewayError,
    Message,
    post,
    telegram,
    voice,
    whatsapp,
)
from referral.messaging.gateways.chain import Chain

PHONE, CODE = "+79995550199", "482716"
SECRETS = (TELEGRAM_TOKEN, WHATSAPP_TOKEN, WHATSAPP_SECRET, VOICE_TOKEN)
TELEGRAM = f"telegram+gateway://{TELEGRAM_TOKEN}"
WHATSAPP = (
    f"whatsapp+cloud://{WHATSAPP_TOKEN}:{WHATSAPP_SECRET}@{WHATSAPP_NUMBER_ID}/login_code"
    "?languages=en,ru"
)
VOICE = f"twilio+voice://{TWILIO_SID}:{VOICE_TOKEN}@{TWILIO_SENDER}"


def message(*, code: str | None = CODE, phone: str = PHONE) -> Message:
    text = f"{code} is your code for Referral.\n@app.example #{code}"
    return Message(id="msg_1", phone=phone, text=text, code=code, language="en")


@dataclass(frozen=True)
class Provider:
    """A provider: its gateway for a server, a fake server, and the URL of a team.

    parse() is that of its module. refused: an error because of the credentials. phone: returns that
    of a request that the server received.
    """

    url: str
    parse: Callable[[str], Any]
    gateway: Callable[[str], Gateway]
    fake: Callable[[], AbstractContextManager[FakeGateway]]
    refused: tuple[int, Any]
    phone: Callable[[Request], str]


PROVIDERS = {
    "telegram": Provider(
        TELEGRAM,
        telegram.parse,
        lambda api: telegram.TelegramGateway(telegram.parse(f"{TELEGRAM}?api={api}"), ttl=300),
        telegram_gateway,
        telegram_error("ACCESS_TOKEN_INVALID", 401),
        lambda request: str(json.loads(request.body)["phone_number"]),
    ),
    "whatsapp": Provider(
        WHATSAPP,
        whatsapp.parse,
        lambda api: whatsapp.WhatsAppCloud(whatsapp.parse(f"{WHATSAPP}&api={api}")),
        whatsapp_cloud,
        whatsapp_error(190, 401),
        lambda request: str(json.loads(request.body)["to"]),
    ),
    "voice": Provider(
        VOICE,
        voice.parse,
        lambda api: voice.TwilioVoice(voice.parse(f"{VOICE}?api={api}")),
        twilio_voice,
        twilio_error(401, 20003),
        lambda request: parse_qs(request.body)["To"][0],
    ),
}


@pytest.fixture(params=PROVIDERS)
def provider(request: pytest.FixtureRequest) -> Provider:
    return PROVIDERS[request.param]


@pytest.fixture
def fake(provider: Provider) -> Iterator[FakeGateway]:
    with provider.fake() as server:
        yield server


@pytest.fixture
def gateway(provider: Provider, fake: FakeGateway) -> Gateway:
    return provider.gateway(fake.url)


async def failure_of(gateway: Gateway, sent: Message | None = None) -> GatewayError:
    with pytest.raises(GatewayError) as caught:
        await gateway.send(sent or message())
    assert all(part not in str(caught.value) for part in (PHONE[1:], CODE, *SECRETS))
    return caught.value


async def test_a_code_is_accepted(gateway: Gateway, fake: FakeGateway) -> None:
    await gateway.send(message())
    assert len(fake.requests) == 1
    assert not gateway.echoes_code


async def test_the_fake_accepts_only_documented_requests(provider: Provider) -> None:
    problems = "path /other.*content type text/plain.*(required|unreadable body)"
    with pytest.raises(AssertionError, match=problems), provider.fake() as fake:
        await post.Poster().post(f"{fake.url}/other", '{"no": 1}', {"Content-Type": "text/plain"})


async def test_each_gateway_is_named_by_its_scheme(provider: Provider, gateway: Gateway) -> None:
    assert gateway.name == provider.url.partition(":")[0]


async def test_many_codes_at_once(provider: Provider, gateway: Gateway, fake: FakeGateway) -> None:
    phones = [f"+7999555{number:04}" for number in range(40)]
    await asyncio.gather(*(gateway.send(message(phone=phone)) for phone in phones))
    assert sorted(map(provider.phone, fake.requests)) == phones


async def test_a_message_without_code_is_not_sent(gateway: Gateway, fake: FakeGateway) -> None:
    """So the next gateway of a chain sends it."""
    error = await failure_of(gateway, message(code=None))
    assert error.failure is Failure.NOT_TAKEN
    assert fake.requests == []


@pytest.mark.parametrize(
    "body",
    [
        None,
        b"<html>Bad Gateway</html>",
        b"\xff\xfe",
        b"[]",
        b"{}",
        b'{"ok": "yes", "error": 1, "messages": [1], "code": "482716", "sid": 5}',
        b'{"messages": [], "error": {"code": null}}',
        b"[" * 50_000,
        b'{"ok": true, "sid": "CA1", "messages": [{"id": "' + b"x" * 1_000_000 + b'"}]}',
    ],
    ids=["empty", "html", "binary", "list", "object", "types", "no error", "deep", "huge"],
)
async def test_failure_for_an_unreadable_response(
    gateway: Gateway, fake: FakeGateway, body: bytes | None
) -> None:
    """A page of a proxy or of a web server knows nothing about the phone."""
    for status in (400, 401, 402, 403, 404, 405, 413, 429):
        fake.default_response = (status, body)
        assert (await failure_of(gateway)).failure is Failure.NOT_TAKEN, status
    for status in (500, 502, 503, 504):
        fake.default_response = (status, body)
        assert (await failure_of(gateway)).failure is Failure.UNKNOWN, status
    for status in (200, 201, 202):
        fake.default_response = (status, body)
        assert (await failure_of(gateway)).failure is Failure.NO_ANSWER, status


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_no_redirect_is_followed(gateway: Gateway, fake: FakeGateway, status: int) -> None:
    """A redirect would send the phone and the code elsewhere."""
    with hook_server() as elsewhere:
        fake.default_response, fake.location = (status, None), elsewhere.url
        assert (await failure_of(gateway)).failure is Failure.UNKNOWN
        assert elsewhere.requests == []


async def test_an_unreachable_provider_has_accepted_nothing(provider: Provider) -> None:
    error = await failure_of(provider.gateway("http://127.0.0.1:9"))
    assert (error.failure, error.may_retry) == (Failure.NOT_TAKEN, True)


async def test_a_slow_response_is_awaited(gateway: Gateway, fake: FakeGateway) -> None:
    fake.delay = 0.4
    await gateway.send(message())


async def test_a_hanging_provider_may_have_accepted(
    provider: Provider, fake: FakeGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(post, "_TIMEOUT_SECONDS", 0.3)
    fake.hanging = True
    error = await failure_of(provider.gateway(fake.url))
    assert (error.failure, error.may_retry) == (Failure.NO_ANSWER, False)


async def test_a_chain_ends_the_wait_for_a_hanging_provider(
    gateway: Gateway, fake: FakeGateway
) -> None:
    fake.hanging = True
    outcomes: list[Failure | None] = []
    chain = Chain(
        [gateway],
        timeout=0.4,
        on_attempt=lambda _name, _phone, failure, _: outcomes.append(failure),
    )
    assert not (await chain.send(message(), charge=_charge)).has_failed
    assert outcomes == [Failure.NO_ANSWER]


async def _charge() -> bool:
    return True


async def test_a_closed_connection_may_have_accepted(gateway: Gateway, fake: FakeGateway) -> None:
    fake.hanging = True
    fake.ended.set()
    assert (await failure_of(gateway)).failure is Failure.NO_ANSWER


@pytest.mark.parametrize(
    ("status", "failure"),
    [(200, Failure.NO_ANSWER), (401, Failure.NOT_TAKEN), (500, Failure.UNKNOWN)],
)
async def test_a_body_that_does_not_end_is_unreadable(
    gateway: Gateway,
    fake: FakeGateway,
    monkeypatch: pytest.MonkeyPatch,
    status: int,
    failure: Failure,
) -> None:
    monkeypatch.setattr(post, "_BODY_SECONDS", 0.2)
    fake.default_response, fake.stalls = (status, {"ok": True}), True
    started = time.monotonic()
    assert (await failure_of(gateway)).failure is failure
    assert time.monotonic() - started < 2


@pytest.mark.parametrize("accepts", [True, False])
async def test_no_log_has_a_phone_code_or_secret(
    provider: Provider, gateway: Gateway, fake: FakeGateway, *, accepts: bool
) -> None:
    if not accepts:
        fake.default_response = provider.refused
    with (
        everything_logged() as records,
        nullcontext() if accepts else pytest.raises(GatewayError),
    ):
        await gateway.send(message())
    assert records
    assert leaks(records, PHONE[1:], CODE, *SECRETS) == []


def test_repr_shows_no_secret(provider: Provider) -> None:
    shown = repr(provider.parse(provider.url))
    assert all(secret not in shown for secret in SECRETS)


def test_another_scheme_is_refused(provider: Provider) -> None:
    scheme, _, rest = provider.url.partition("://")
    for other in ("https", scheme.partition("+")[0], f"x{scheme}", f"{scheme}+x", ""):
        with pytest.raises(ValueError, match=rf"^{re.escape(scheme)}:// needs ") as caught:
            provider.parse(f"{other}://{rest}")
        assert all(secret not in str(caught.value) for secret in SECRETS)


@pytest.mark.parametrize(
    "api",
    [
        "http://127.0.0.1:8080",
        "http://localhost:1",
        "http://[::1]:8080",
        "https://127.0.0.1",
        "http%3A%2F%2F127.0.0.1%3A8080",
    ],
)
def test_the_api_may_be_on_this_machine(provider: Provider, api: str) -> None:
    joiner = "&" if "?" in provider.url else "?"
    read = provider.parse(f"{provider.url}{joiner}api={api}")
    assert read.api == api.replace("%3A", ":").replace("%2F", "/")


@pytest.mark.parametrize(
    "parameters",
    [
        "api=https://evil.example",
        "api=http://127.0.0.1.evil.example:80",
        "api=http://127.0.0.1:80@evil.example",
        "api=http://127.0.0.1:80/path",
        "api=http://127.0.0.1:99999",
        "api=http://127.0.0.1:0",
        "api=http://10.0.0.1:80",
        "api=ftp://127.0.0.1:80",
        "api=",
        "api",
        "api=http://127.0.0.1:1&api=http://127.0.0.1:2",
        "hidden=x",
        "&",
    ],
)
def test_other_parameters_are_refused(provider: Provider, parameters: str) -> None:
    joiner = "&" if "?" in provider.url else "?"
    with pytest.raises(ValueError, match=r"^[a-z+]+:// may have ") as caught:
        provider.parse(f"{provider.url}{joiner}{parameters}")
    assert "hidden" not in str(caught.value)
    assert "example" not in str(caught.value)
