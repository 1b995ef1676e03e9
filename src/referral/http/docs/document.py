"""Complete the OpenAPI document that the framework generates."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from litestar.handlers import HTTPRouteHandler
from litestar.routes import BaseRoute, HTTPRoute

from referral.http.requests import FORM, JSON

# Headers of responses, by status
_HEADERS = {
    "401": ("WWW-Authenticate", "The scheme to authenticate with (RFC 6750)."),
    "429": ("Retry-After", "Seconds after which the request can succeed."),
    "503": ("Retry-After", "Seconds after which to repeat the request."),
}


def complete(document: dict[str, Any], routes: Iterable[BaseRoute]) -> dict[str, Any]:
    """Return the document with its operations in the order of the code, and completed.

    The framework leaves out examples and further media types of bodies, and headers of responses.
    document: as generated; the objects in it are changed.
    """
    handlers = {handler.operation_id: handler for handler in _handlers(routes)}
    order = {operation_id: position for position, operation_id in enumerate(handlers)}
    for path in document["paths"].values():
        for operation in path.values():
            handler = handlers[operation["operationId"]]
            _complete_body(operation, handler)
            _complete_parameters(operation, handler)
            for status, response in operation["responses"].items():
                _complete_response(status, response)
            if "location" in handler.opt:
                _add_header(operation["responses"]["201"], "Location", handler.opt["location"])
    for schema in _bodies(document):
        schema["additionalProperties"] = False
    return {
        **document,
        "paths": {
            name: dict(sorted(path.items(), key=lambda item: order[item[1]["operationId"]]))
            for name, path in sorted(
                document["paths"].items(),
                key=lambda item: min(order[each["operationId"]] for each in item[1].values()),
            )
        },
    }


def _handlers(routes: Iterable[BaseRoute]) -> Iterator[HTTPRouteHandler]:
    """Return the documented handlers: module by module, in the order of the code."""
    found = [
        handler
        for route in routes
        if isinstance(route, HTTPRoute)
        for handler in route.route_handlers
        if handler.operation_id is not None
    ]
    modules = list(dict.fromkeys(handler.fn.__module__ for handler in found))
    return iter(
        sorted(
            found,
            key=lambda handler: (
                modules.index(handler.fn.__module__),
                handler.fn.__code__.co_firstlineno,
            ),
        )
    )


def _bodies(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Return the schemas of request bodies, which do not accept unknown fields."""
    for path in document["paths"].values():
        for operation in path.values():
            content = operation.get("requestBody", {}).get("content", {})
            if JSON in content:
                reference = content[JSON]["schema"]["$ref"]
                yield document["components"]["schemas"][reference.rpartition("/")[2]]


def _complete_body(operation: dict[str, Any], handler: HTTPRouteHandler) -> None:
    content = operation.get("requestBody", {}).get("content", {})
    if "body_example" in handler.opt:
        content[JSON]["example"] = handler.opt["body_example"]
    for media_type in handler.opt.get("media_types", ()):
        content[media_type] = content[JSON]


def _complete_parameters(operation: dict[str, Any], handler: HTTPRouteHandler) -> None:
    """Add the parameters that the handler reads itself: of the query, or of a form."""
    parameters: dict[str, str] = handler.opt.get("parameters", {})
    required = [name for name in handler.opt.get("required", ()) if name in parameters]
    if not parameters:
        return
    if "GET" in handler.http_methods:
        operation["parameters"] = [
            {
                "name": name,
                "in": "query",
                "required": name in required,
                "description": description,
                "schema": {"type": "string"},
            }
            for name, description in parameters.items()
        ]
        return
    properties = {
        name: {"type": "string", "description": description}
        for name, description in parameters.items()
    }
    schema: dict[str, Any] = {"type": "object", "properties": properties}
    operation["requestBody"] = {
        "required": True,
        "content": {FORM: {"schema": {**schema, **({"required": required} if required else {})}}},
    }


def _complete_response(status: str, response: dict[str, Any]) -> None:
    if status in _HEADERS:
        _add_header(response, *_HEADERS[status])
    for content in response.get("content", {}).values():
        for example in content.get("examples", {}).values():
            # Internal to the framework, and not part of OpenAPI
            example.pop("id", None)


def _add_header(response: dict[str, Any], name: str, description: str) -> None:
    response.setdefault("headers", {})[name] = {
        "description": description,
        "schema": {"type": "string"},
    }
