"""The OpenAPI document, the list of its operations, and a page to try them: all from our origin.

`assets/` holds Swagger UI as published: `make docs-assets VERSION=...` replaces it. page.js and
page.css are our own.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from litestar import MediaType, Request, Router, get
from litestar.datastructures import CacheControlHeader
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin, OpenAPIRenderPlugin
from litestar.openapi.spec import Components, License, Server, Tag
from litestar.params import FromPath
from litestar.response import File, Stream

from referral import __version__
from referral.core.errors import NotFound
from referral.http import auth
from referral.http.docs import reference
from referral.http.docs.compressed import GZIP, VARY, Compressed, accepts_gzip, compress
from referral.http.docs.document import complete
from referral.http.pages.site import Site

PATH = "/docs"

_ASSETS = Path(__file__).with_name("assets")
_MEDIA_TYPES = {
    "page.js": "text/javascript",
    "page.css": "text/css",
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui.css": "text/css",
}
_CHUNK = 64 * 1024
_DESCRIPTION = """\
Sign in users by phone, and grow by invitation.

1. `POST /api/v1/auth/send-code` sends a code to a phone and returns a challenge token.
2. `POST /api/v1/auth/verify` takes the challenge and the code, and returns an access token and a
   refresh token.
3. Most other operations take the access token, as `Authorization: Bearer ACCESS_TOKEN`.

Errors are `application/problem+json` (RFC 9457) with a stable `code`. After a 429 or 503, repeat
the request when the time in `Retry-After` has passed. Times are RFC 3339 in UTC. Request bodies are
JSON of at most 64 KiB; unknown fields are an error.

What is under `/oauth/` takes forms, ignores unknown parameters and has OAuth's errors, as OpenID
Connect and OAuth 2.0 define. Delivery reports have the formats of their providers."""
_TAGS = [
    Tag("Sign-in", "Send a code to a phone, and exchange it for tokens."),
    Tag("Sessions", "Where the user is signed in."),
    Tag("Profile", "The user's own data."),
    Tag("Invitations", "Invite codes, and the users who activated them."),
    Tag("Rewards", "Rewards for invitations: rules, events, entries, redemptions, reviews."),
    Tag("OpenID Connect", "For apps that sign people in here: client libraries call these."),
    Tag("Administration", "For administrators and API keys."),
    Tag("Delivery reports", "For the providers of channels, which report what became of messages."),
    Tag("Operation", "Health checks and public keys, for other systems."),
]


class _Document(JsonRenderPlugin):
    """The document as the framework generates it, completed once."""

    def __init__(self) -> None:
        # Browsers display this media type, but download application/vnd.oai.openapi+json
        super().__init__(path="/openapi.json", media_type=MediaType.JSON)
        self._json: bytes | None = None
        self._completed: dict[str, Any] | None = None

    def completed(
        self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]
    ) -> dict[str, Any]:
        if self._completed is None:
            self._completed = complete(openapi_schema, request.app.routes)
        return self._completed

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        if self._json is None:
            self._json = self.render_json(request, self.completed(request, openapi_schema))
        return self._json


class _Reference(OpenAPIRenderPlugin):
    """The list of operations, rendered once."""

    def __init__(self, document: _Document, site: Site) -> None:
        super().__init__(path="/")
        self._document = document
        self._site = site
        self._html: bytes | None = None

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        if self._html is None:
            document = self._document.completed(request, openapi_schema)
            self._html = reference.render(document, self._site)
        return self._html


class _Try(OpenAPIRenderPlugin):
    """Swagger UI without inline scripts or resources of other origins."""

    def __init__(self, site: Site) -> None:
        super().__init__(path="/try")
        self._html = reference.render_try(site)

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:  # noqa: ARG002 - the page loads the document itself
        return self._html


def config(site: Site) -> OpenAPIConfig:
    document = _Document()
    return OpenAPIConfig(
        title="Referral",
        version=__version__,
        description=_DESCRIPTION,
        license=License(name="MIT", identifier="MIT"),
        servers=[Server(url="/", description="This server"), *_published(site.public_url)],
        tags=_TAGS,
        components=Components(security_schemes={"bearer": auth.BEARER, "api_key": auth.API_KEY}),
        openapi_router=Router(
            PATH,
            route_handlers=[],
            include_in_schema=False,
            response_headers=_headers(site),
            response_class=Compressed,
        ),
        render_plugins=[_Reference(document, site), _Try(site), document],
        use_handler_docstrings=False,
    )


def _headers(site: Site) -> dict[str, str]:
    # People paste tokens into the page, and any script on it could read them
    return {
        "Content-Security-Policy": (
            "default-src 'none'; script-src 'self'; "
            f"style-src 'self' {reference.style_sources(site.palette)}; "
            "img-src 'self' data:; connect-src 'self'; form-action 'none'; base-uri 'none'; "
            "frame-ancestors 'none'"
        ),
        "Referrer-Policy": "same-origin",
        "Cross-Origin-Opener-Policy": "same-origin",
    }


def _published(public_url: str) -> list[Server]:
    """Return the public URL if it is https; others are only for development."""
    return [Server(url=public_url)] if public_url.startswith("https://") else []


@get(
    f"{PATH}/assets/{{name:str}}",
    cache_control=CacheControlHeader(public=True, max_age=86_400),
    include_in_schema=False,
    sync_to_thread=False,
)
def asset(request: Request[Any, Any, Any], name: FromPath[str]) -> File | Stream:
    """Serve a file that the page loads. Raises NotFound for any other name."""
    if name not in _MEDIA_TYPES:
        raise NotFound(reason="no asset")
    path = _ASSETS / name
    if accepts_gzip(request):
        # Cut for slow clients, as below
        body = _compressed_asset(name)
        return Stream(
            (body[start : start + _CHUNK] for start in range(0, len(body), _CHUNK)),
            media_type=_MEDIA_TYPES[name],
            headers={**GZIP, "Content-Length": str(len(body))},
        )
    return File(
        path,
        filename=name,
        media_type=_MEDIA_TYPES[name],
        # A client that reads slowly holds this much memory
        chunk_size=_CHUNK,
        content_disposition_type="inline",
        headers=VARY,
    )


@cache
def _compressed_asset(name: str) -> bytes:
    return compress((_ASSETS / name).read_bytes())
