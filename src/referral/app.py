"""The only place where the parts are wired together."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from litestar import Litestar
from litestar.config.cors import CORSConfig
from litestar.datastructures import CacheControlHeader
from litestar.di import Provide

from referral.core.keys import Keyring, Purpose
from referral.core.tokens import Issuer
from referral.gateways import Gateway
from referral.gateways.console import Console
from referral.gateways.simulated import Simulated
from referral.http import api, docs, metrics, problems, well_known
from referral.http.headers import on_every_answer
from referral.http.methods import HeadLitestar, answer_options
from referral.http.requests import LARGEST_BODY, StrictRequest, parts
from referral.service import housekeeping, kept
from referral.service.parts import Parts
from referral.service.totals import Totals
from referral.settings import Settings
from referral.storage import database, migrate

_CONNECT_TRIES = 8


def system_clock() -> datetime:
    return datetime.now(UTC)  # noqa: TID251 - the one clock


def create_app(
    settings: Settings,
    *,
    clock: Callable[[], datetime] = system_clock,
    randbelow: Callable[[int], int] = secrets.randbelow,
    gateway: Gateway | None = None,
) -> Litestar:
    """The ASGI application. It connects to the database when it starts."""

    @asynccontextmanager
    async def lifespan(app: Litestar) -> AsyncIterator[None]:
        await _connect(settings.database_url)
        try:
            if missing := await migrate.pending():
                raise RuntimeError(
                    f"the database lacks {', '.join(missing)}: run `referral migrate` first"
                )
            app.state.parts = await assemble(settings, clock, randbelow, gateway)
            async with housekeeping.running(app.state.parts):
                yield
        finally:
            await database.disconnect()

    return HeadLitestar(
        route_handlers=[
            api.router,
            docs.asset,
            docs.home,
            metrics.controller(settings.metrics_token, in_production=settings.in_production),
            *well_known.HANDLERS,
        ],
        lifespan=[lifespan],
        middleware=[metrics.middleware],
        dependencies={"parts": Provide(parts, sync_to_thread=False)},
        exception_handlers=problems.HANDLERS,
        before_request=answer_options,
        before_send=[on_every_answer(https=settings.in_production)],
        request_class=StrictRequest,
        request_max_body_size=LARGEST_BODY,
        cache_control=CacheControlHeader(no_store=True),
        cors_config=_cors(settings),
        openapi_config=docs.config(settings.public_url),
        logging_config=None,
    )


async def _connect(url: str) -> None:
    """Wait some seconds for a database that is away: a process may start while it restarts."""
    for _ in range(_CONNECT_TRIES - 1):
        try:
            return await database.connect(url)
        except database.Unusable:
            await asyncio.sleep(1)
    return await database.connect(url)


async def assemble(
    settings: Settings,
    clock: Callable[[], datetime] = system_clock,
    randbelow: Callable[[int], int] = secrets.randbelow,
    gateway: Gateway | None = None,
) -> Parts:
    """What the use cases are given. To be called while connected to the database."""
    keys = Keyring(settings.secrets)
    kept_keys = await kept.load(keys, now=clock(), token_bytes=secrets.token_bytes)
    return Parts(
        keys=keys,
        kept=kept_keys,
        totals=Totals(settings.limits, kept_keys.first(Purpose.COUNTER).secret),
        issuer=Issuer(
            url=settings.public_url,
            audience=settings.audience,
            access_life=settings.limits.access_life,
        ),
        limits=settings.limits,
        phone_rules=settings.phone_rules,
        test_phones=settings.test_phones,
        admins_allowed=not settings.is_open_demo,
        gateway=gateway or _gateway(settings),
        app_name=settings.app_name,
        invite_url=settings.invite_url,
        trusted_proxies=settings.trusted_proxies,
        clock=clock,
        randbelow=randbelow,
        token_bytes=secrets.token_bytes,
    )


def _gateway(settings: Settings) -> Gateway:
    if not settings.sending_is_simulated:
        return Console()
    if settings.sms_urls[0].endswith("delay=0"):
        return Simulated(lambda: 0)
    # As long as a real gateway takes
    return Simulated(lambda: 1 + secrets.randbelow(1001) / 1000)


def _cors(settings: Settings) -> CORSConfig | None:
    if not settings.cors_origins:
        return None
    return CORSConfig(
        allow_origins=list(settings.cors_origins),
        allow_methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
        allow_headers=["Authorization", "Content-Type"],
        expose_headers=["Location", "Retry-After", "RateLimit", "RateLimit-Policy"],
    )
