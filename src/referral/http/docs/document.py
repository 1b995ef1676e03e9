"""What the framework's OpenAPI document lacks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from litestar.handlers import HTTPRouteHandler
from litestar.routes import BaseRoute, HTTPRoute

from referral.http.requests import JSON

# Headers that answers of a status carry
_HEADERS = {
    "201": ("Location", "Where the new account's profile is."),
    "401": ("WWW-Authenticate", "What to authenticate with (RFC 6750)."),
    "429": ("Retry-After", "Seconds after which it works."),
    "503": ("Retry-After", "Seconds after which to repeat the call."),
}


def finished(document: dict[str, Any], routes: Iterable[BaseRoute]) -> dict[str, Any]:
    """The document with its operations in the order of the code, and what each leaves out:
    further media types of bodies, headers of answers.
    """
    handlers = {handler.operation_id: handler for handler in _handlers(routes)}
    order = {operation_id: place for place, operation_id in enumerate(handlers)}
    for path in document["paths"].values():
        for operation in path.values():
            _finish_body(operation, handlers[operation["operationId"]])
            for status, answer in operation["responses"].items():
                _finish_answer(status, answer)
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
    """The documented handlers: controllers one after the other, each as its code runs."""
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
    """The schemas of what requests carry: they refuse fields that they do not know."""
    for path in document["paths"].values():
        for operation in path.values():
            if "requestBody" in operation:
                reference = operation["requestBody"]["content"][JSON]["schema"]["$ref"]
                yield document["components"]["schemas"][reference.rpartition("/")[2]]


def _finish_body(operation: dict[str, Any], handler: HTTPRouteHandler) -> None:
    content = operation.get("requestBody", {}).get("content", {})
    if "body_example" in handler.opt:
        content[JSON]["example"] = handler.opt["body_example"]
    for media_type in handler.opt.get("media_types", ()):
        content[media_type] = content[JSON]


def _finish_answer(status: str, answer: dict[str, Any]) -> None:
    if status in _HEADERS:
        name, description = _HEADERS[status]
        answer.setdefault("headers", {})[name] = {
            "description": description,
            "schema": {"type": "string"},
        }
    for content in answer.get("content", {}).values():
        for example in content.get("examples", {}).values():
            # The framework's own name for it, which OpenAPI does not know
            example.pop("id", None)
