"""The ASGI application."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

from litestar import Litestar, Request, Response
from litestar.datastructures import CacheControlHeader
from litestar.datastructures.state import State
from litestar.exceptions import HTTPException

from referral import observability
from referral.assembly import assemble, system_clock
from referral.core.concurrency import ConcurrencyLimiter
from referral.http import api, docs, hooks, oauth, pages, problems, well_known
from referral.http.pages import static
from referral.http.pages.site import Site
from referral.http.requests import MAX_BODY_BYTES, StrictRequest
from referral.http.responses import JsonResponse
from referral.http.server import hosts, metrics
from referral.http.server.application import Application
from referral.http.server.cors import Cors
from referral.http.server.headers import common_headers
from referral.http.server.options import options_response
from referral.messaging.gateways import Gateway
from referral.service import housekeeping
from referral.settings import Settings
from referral.storage import database, migrate
from referral.webhooks import dispatcher

_CONNECT_ATTEMPTS = 8


def create_app(
    settings: Settings,
    *,
    clock: Callable[[], datetime] = system_clock,
    randbelow: Callable[[int], int] = secrets.randbelow,
    gateway: Gateway | None = None,
) -> Litestar:
    """Create the ASGI application, which connects to the database when it starts.

    gateway: used instead of those in the settings. The application does not start if a migration
    is missing.
    """
    limiter = ConcurrencyLimiter()
    site = _site(settings)

    @asynccontextmanager
    async def lifespan(app: Litestar) -> AsyncIterator[None]:
        observability.locale_warnings(settings.locales.warnings)
        await _connect(settings.database_url)
        try:
            if missing := await migrate.pending():
                raise RuntimeError(
                    f"the database lacks {', '.join(missing)}: run `referral migrate` first"
                )
            app.state.ctx = await assemble(
                settings, clock=clock, randbelow=randbelow, gateway=gateway, limiter=limiter
            )
            async with (
                housekeeping.running(app.state.ctx),
                dispatcher.running(app.state.ctx),
            ):
                yield
        finally:
            await database.disconnect()

    app = Application(
        route_handlers=[
            api.router,
            oauth.router,
            pages.router,
            pages.app_router,
            docs.asset,
            metrics.controller(settings.metrics_token, in_production=settings.in_production),
            *well_known.HANDLERS,
            *hooks.HANDLERS,
        ],
        lifespan=[lifespan],
        exception_handlers={**problems.HANDLERS, HTTPException: pages.framework_response},
        state=State({"site": site}),
        before_request=_before_request,
        request_class=StrictRequest,
        response_class=JsonResponse,
        request_max_body_size=MAX_BODY_BYTES,
        cache_control=CacheControlHeader(no_store=True),
        openapi_config=docs.config(site),
        logging_config=None,
    )
    app.limiter = limiter
    app.cors = Cors(settings.cors_origins)
    app.headers = common_headers(https=settings.in_production)
    return app


async def _before_request(request: Request[Any, Any, Any]) -> Response[None] | None:
    hosts.check(request)
    return options_response(request)


def _site(settings: Settings) -> Site:
    return Site(
        app_name=settings.app_name,
        languages=settings.locales.languages,
        public_url=settings.public_url,
        https=settings.in_production,
        terms_url=settings.terms_url,
        privacy_url=settings.privacy_url,
        support_url=settings.support_url,
        app_url=settings.app_url,
        logo=settings.logo,
        logo_dark=settings.logo_dark,
        favicon=settings.favicon or static.favicon(settings.palette),
        palette=settings.palette,
        offers=settings.offers,
        masks_invitees=settings.masks_invitees,
        preview_image=settings.preview_image or static.preview(),
    )


async def _connect(url: str) -> None:
    """Connect, retrying for some seconds: the process may start while the database restarts."""
    for _ in range(_CONNECT_ATTEMPTS - 1):
        try:
            return await database.connect(url)
        except database.SetupError:
            await asyncio.sleep(1)
    return await database.connect(url)
