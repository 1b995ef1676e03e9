"""OPTIONS and the Allow header, for every path."""

from __future__ import annotations

from typing import Any

from litestar import Request, Response
from litestar.routes import HTTPRoute
from litestar.status_codes import HTTP_204_NO_CONTENT


def options_response(request: Request[Any, Any, Any]) -> Response[None] | None:
    """Respond to OPTIONS with all methods of the path; return None for any other method.

    The framework's own response lists only the methods of one handler.
    """
    if request.method != "OPTIONS":
        return None
    return Response(
        None, status_code=HTTP_204_NO_CONTENT, headers={"Allow": allowed_methods(request)}
    )


def allowed_methods(request: Request[Any, Any, Any]) -> str:
    """Return the value of Allow for the request's path."""
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
