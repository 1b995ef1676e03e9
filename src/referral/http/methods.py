"""What HTTP asks of every path, whatever its handlers: HEAD, OPTIONS, and Allow."""

from __future__ import annotations

from typing import Any, cast

from litestar import Litestar, Request, Response
from litestar.routes import HTTPRoute
from litestar.status_codes import HTTP_204_NO_CONTENT

from referral.http import request_ids


class HeadLitestar(Litestar):
    """An application that answers HEAD as GET without the body (RFC 9110, section 9.3.2)."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            request_ids.begin(scope)
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await super().__call__(scope, receive, send)
            return

        async def send_without_body(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.body":
                message["body"] = b""
            await send(message)

        as_get = cast("Any", {**scope, "method": "GET"})
        await super().__call__(as_get, receive, cast("Any", send_without_body))


async def answer_options(request: Request[Any, Any, Any]) -> Response[None] | None:
    """The methods of a path. The framework's own answer knows those of one handler alone."""
    if request.method != "OPTIONS":
        return None
    return Response(None, status_code=HTTP_204_NO_CONTENT, headers={"Allow": allowed(request)})


def allowed(request: Request[Any, Any, Any]) -> str:
    """The methods of the request's path, for Allow."""
    path = [part for part in request.scope["path"].split("/") if part]
    methods: set[str] = {
        method
        for route in request.app.routes
        if isinstance(route, HTTPRoute) and _matches(route, path)
        for method in route.methods
    }
    if "GET" in methods:
        methods.add("HEAD")
    return ", ".join(sorted(methods))


def _matches(route: HTTPRoute, path: list[str]) -> bool:
    return len(route.path_components) == len(path) and all(
        not isinstance(expected, str) or expected == part
        for expected, part in zip(route.path_components, path, strict=True)
    )
