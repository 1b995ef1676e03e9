"""What HTTP asks of every path, whatever its handlers: OPTIONS, and Allow."""

from __future__ import annotations

from typing import Any

from litestar import Request, Response
from litestar.routes import HTTPRoute
from litestar.status_codes import HTTP_204_NO_CONTENT


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
