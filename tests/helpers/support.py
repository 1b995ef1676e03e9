"""A service under test, people who use it over HTTP, and its clock and gateway."""

from __future__ import annotations

import asyncio
import json
from base64 import urlsafe_b64decode
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from itertools import count
from typing import Any, cast

import httpx
from litestar import Litestar

from referral.app import create_app
from referral.context import Context
from referral.i18n import Languages
from referral.limits.policy import LimitName
from referral.messaging.gateways import Gateway, Message
from referral.service import admins, api_keys
from referral.settings import Settings, parse
from referral.settings.locales import Locales
from referral.storage import database, migrate

SECRET = "a secret of the tests with 32 bytes or more 0123456789"
TODAY = date(2026, 1, 1)

# The first ones are test phones in some tests
_numbers = count(100)
_addresses = count(1)


def new_phone() -> str:
    """Return a phone that no test in this process has used yet."""
    return f"+7999{next(_numbers):07}"


def new_address() -> str:
    """Return an IP address that no test in this process has used yet."""
    number = next(_addresses)
    return f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"


async def eventually(holds: Callable[[], bool], *, seconds: float = 15) -> None:
    """Wait until a condition holds. Raises TimeoutError."""
    async with asyncio.timeout(seconds):
        while not holds():  # noqa: ASYNC110 - it depends on other tasks and processes
            await asyncio.sleep(0.02)


def wrong_code(right: str) -> str:
    """Return another code with the same number of digits."""
    return f"{(int(right) + 1) % 10 ** len(right):0{len(right)}}"


def with_wrong_code(sent: dict[str, Any]) -> dict[str, Any]:
    """Return a response of send-code with a wrong code in place of the right one."""
    return {**sent, "code": wrong_code(sent["code"])}


class Clock:
    """The real time, or the one at which it was frozen, plus an offset that tests set."""

    def __init__(self) -> None:
        self._offset = timedelta()
        self._frozen: datetime | None = None

    def __call__(self) -> datetime:
        real = datetime.now(UTC)  # noqa: TID251 - the tests' own clock
        return (self._frozen or real) + self._offset

    def move(self, **by: float) -> None:
        self._offset += timedelta(**by)

    def set(self, to: datetime) -> None:
        self._offset += to - self()

    def freeze(self, at: datetime) -> None:
        """Set the time, which from now on only `move` and `set` change."""
        self._frozen, self._offset = at, timedelta()


@dataclass
class Inbox:
    """A gateway that keeps the messages. Responses echo the codes, as with the simulated one."""

    echoes_code: bool = True
    name: str = "inbox"
    messages: list[Message] = field(default_factory=list)

    async def send(self, message: Message) -> None:
        self.messages.append(message)


def context_of(service: Service) -> Context:
    """Return the context of a service in this process."""
    assert service.app is not None
    ctx: Context = service.app.state.ctx
    return ctx


def sends_of_day(service: Service) -> int:
    """Return the day's sends overall, by weight, as this process knows them."""
    limits = context_of(service).global_limits
    return limits._used(LimitName.SENDS_DAY, service.clock())  # noqa: SLF001 - no public count


def settings_for(database_url: str, **variables: str) -> Settings:
    """Return development settings without a wait between sends, unless overridden."""
    given = {"DATABASE_URL": database_url, "REFERRAL_SECRET": SECRET, "REFERRAL_RESEND_WAITS": "0"}
    return parse({**given, **variables}, today=TODAY)


@dataclass
class Person:
    """A signed-in person. tokens: the last response of verify or refresh."""

    http: httpx.AsyncClient
    phone: str
    tokens: dict[str, Any]
    is_new: bool

    async def call(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        """Send a request with this person's access token. path: relative to /api/v1."""
        headers = {"Authorization": f"Bearer {self.tokens['access_token']}"}
        headers |= arguments.pop("headers", {})
        return await self.http.request(method, f"/api/v1{path}", headers=headers, **arguments)

    def id(self) -> str:
        """Return the user's id, from the access token."""
        return self._claim("sub")

    def session_id(self) -> str:
        """Return the session's id, from the access token."""
        return self._claim("sid")

    def _claim(self, name: str) -> str:
        payload = self.tokens["access_token"].split(".")[1]
        claims: dict[str, str] = json.loads(urlsafe_b64decode(payload + "=="))
        return claims[name]

    async def profile(self) -> dict[str, Any]:
        return ok(await self.call("GET", "/profile"))

    async def invite_code(self) -> str:
        code: str = (await self.profile())["invite_code"]
        return code

    async def activate(self, invite_code: str) -> httpx.Response:
        return await self.call("PUT", "/profile/inviter", json={"invite_code": invite_code})

    async def refresh(self, refresh_token: str | None = None) -> httpx.Response:
        body = {"refresh_token": refresh_token or self.tokens["refresh_token"]}
        return await self.http.post("/api/v1/auth/refresh", json=body)


@dataclass
class Service:
    """A running service. http: a client without a token."""

    http: httpx.AsyncClient
    clock: Clock
    inbox: Inbox
    app: Litestar | None = None

    async def send_code(self, phone: str, **more: str) -> dict[str, Any]:
        return ok(await self.post("/auth/send-code", phone=phone, **more))

    async def verify(self, sent: dict[str, Any], **more: str) -> httpx.Response:
        body = {"token": sent["token"], "code": sent["code"], **more}
        return await self.http.post("/api/v1/auth/verify", json=body)

    async def sign_in(self, phone: str | None = None, **more: str) -> Person:
        """Sign in over the API, as a new person unless the phone is known."""
        phone = phone or new_phone()
        response = await self.verify(await self.send_code(phone), **more)
        return Person(self.http, phone, ok(response), is_new=response.status_code == 201)

    async def sign_in_admin(self) -> Person:
        """Sign in as a new person who has been granted administration by the command."""
        assert self.app is not None
        phone = new_phone()
        await admins.grant(self.app.state.ctx, phone)
        return await self.sign_in(phone)

    async def api_key(self, *, events_only: bool = False) -> Person:
        """Return a client with a new API key, as a person without a phone."""
        assert self.app is not None
        name = f"tests {next(_numbers)}"
        key = await api_keys.create(self.app.state.ctx, name, events_only=events_only)
        return Person(self.http, "", {"access_token": key}, is_new=False)

    async def sign_in_again(self, person: Person, **more: str) -> Person:
        """Begin another session with the same phone, after the wait between two codes."""
        self.clock.move(seconds=3)
        return await self.sign_in(person.phone, **more)

    async def post(self, path: str, **body: Any) -> httpx.Response:
        return await self.http.post(f"/api/v1{path}", json=body)

    async def get(self, path: str, **headers: str) -> httpx.Response:
        return await self.http.get(path, headers=headers)


@asynccontextmanager
async def running(
    database_url: str,
    start: datetime | None = None,
    languages: Languages | None = None,
    /,
    *,
    inbox: Inbox | None = None,
    **variables: str,
) -> AsyncIterator[Service]:
    """Run the service inside this process, on this database as it is.

    start: the time at which it starts, by default the real one. Tests at a fixed time set it: the
    service deletes what is old when it starts, and a test that moved the clock back could lose its
    rows. languages: those that it offers, if not those of the settings.
    """
    inbox = inbox or Inbox()
    settings = settings_for(database_url, **variables)
    if languages is not None:
        settings = replace(settings, locales=Locales(languages))
    async with _running(settings, inbox, inbox, start) as service:
        yield service


@asynccontextmanager
async def sending(database_url: str, **variables: str) -> AsyncIterator[Service]:
    """Run the service with the gateway of the settings; the inbox gets nothing."""
    async with _running(settings_for(database_url, **variables), Inbox(), None) as service:
        yield service


@asynccontextmanager
async def _running(
    settings: Settings, inbox: Inbox, gateway: Gateway | None, start: datetime | None = None
) -> AsyncIterator[Service]:
    clock = Clock()
    if start is not None:
        clock.set(start)
    if gateway is None:
        app = create_app(settings, clock=clock)
    else:
        reusable = _reusable(settings)
        reusable.clock, reusable.gateway = clock, gateway
        app = reusable.app
    transport = httpx.ASGITransport(cast("Any", app), raise_app_exceptions=False)
    async with (
        _alive(app),
        httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000") as http,
    ):
        yield Service(http, clock, inbox, app)
    if gateway is not None:
        _unused.append(reusable)
        del _unused[:-_MAX_UNUSED]


class _Reusable:
    """An application that one test after another runs, each with its own clock and gateway.

    Creating one takes as long as all else of a short test. An application keeps nothing when it
    stops: its lifespan makes the context.
    """

    clock: Clock
    gateway: Gateway

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.app = create_app(settings, clock=self._now, gateway=cast("Gateway", self))

    def _now(self) -> datetime:
        return self.clock()

    def __getattr__(self, name: str) -> Any:
        """Return an attribute of the test's gateway."""
        return getattr(self.gateway, name)


_unused: list[_Reusable] = []
_MAX_UNUSED = 8


def _reusable(settings: Settings) -> _Reusable:
    # Two settings can be equal and have other texts
    languages = settings.locales.languages
    for number, each in enumerate(_unused):
        if each.settings == settings and each.settings.locales.languages is languages:
            return _unused.pop(number)
    return _Reusable(settings)


@asynccontextmanager
async def _alive(app: Litestar) -> AsyncIterator[None]:
    """Start the application, and stop it in the task that started it, which it requires."""
    started, stop = asyncio.Event(), asyncio.Event()

    async def live() -> None:
        async with app.lifespan():
            started.set()
            await stop.wait()

    task = asyncio.create_task(live())
    waiting = asyncio.create_task(started.wait())
    await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED)
    if task.done():
        waiting.cancel()
        task.result()
    try:
        yield
    finally:
        stop.set()
        await task


async def migrated(database_url: str) -> None:
    """Apply all migrations to a database."""
    await database.connect(database_url)
    try:
        await migrate.apply()
    finally:
        await database.disconnect()


async def emptied(database_url: str) -> None:
    """Delete every row of a database."""
    await database.connect(database_url)
    try:
        # SQLite checks foreign keys row by row
        await database.query("UPDATE users SET inviter_id = NULL")
        for table in _TABLES:
            await database.query(f"DELETE FROM {table}")  # noqa: S608 - our own names
    finally:
        await database.disconnect()


# Tables with foreign keys first
_TABLES = (
    "sessions",
    "clients",
    "signing_keys",
    "users",
    "device_generations",
    "counters",
    "past_activations",
    "admitted_phones",
    "sign_up_grants",
    "activations",
    "invite_opens",
    "reward_rules",
    "reward_rule_versions",
    "reward_events",
    "counted_events",
    "qualifiers",
    "reward_totals",
    "reward_entries",
    "milestone_invitees",
    "reward_balances",
    "redemptions",
    "admin_grants",
    "data_keys",
    "api_keys",
    "audit_entries",
    "traffic_counts",
    "delivery_counts",
    "leases",
    "outbox",
    "endpoint_states",
)


def ok(response: httpx.Response) -> dict[str, Any]:
    """Return the body of a response. Fails unless it is a success."""
    assert response.is_success, f"{response.status_code}: {response.text}"
    body: dict[str, Any] = response.json() if response.content else {}
    return body


def refused(response: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """Return the body of a response. Fails unless it is this problem (RFC 9457)."""
    assert (response.status_code, response.json().get("code")) == (status, code), response.text
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["cache-control"] == "no-store"
    body: dict[str, Any] = response.json()
    assert body["status"] == status
    assert {"type", "title", "detail"} <= body.keys()
    return body
