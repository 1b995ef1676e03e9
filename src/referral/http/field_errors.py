"""Error messages for the fields of a request. Those of the framework would repeat the input."""

from __future__ import annotations

import re
from typing import Annotated, Any

from litestar import Request
from litestar.exceptions import HTTPException, ValidationException
from msgspec import Meta, Struct

_TYPES = {"str": "a string", "int": "a whole number"}


class FieldError(Struct, frozen=True):
    """An error in one field."""

    field: Annotated[
        str, Meta(description="Empty if the whole body or request is wrong.", examples=["phone"])
    ]
    message: Annotated[str, Meta(examples=["Required."])]


def from_exception(request: Request[Any, Any, Any], error: HTTPException) -> list[FieldError]:
    """Return the errors that the framework found in the fields of the request."""
    extra = error.extra if isinstance(error, ValidationException) else None
    known = _known_fields(request)
    return [_field_error(each, known) for each in extra or ()]


def _known_fields(request: Request[Any, Any, Any]) -> tuple[str, ...]:
    try:
        body = request.route_handler.parsed_data_field
    except KeyError:  # the framework refused the request before it looked for a route
        return ()
    return getattr(body.annotation, "__struct_encode_fields__", ()) if body else ()


def _field_error(error: Any, known: tuple[str, ...]) -> FieldError:
    field, message = str(error.get("key", "")), str(error.get("message", ""))
    field = "" if field == "data" else field
    if "unknown field" in message:
        return FieldError(field, f"Unknown field. This operation takes {', '.join(known)}.")
    if missing := re.match(r"Object missing required field `(\w+)`", message):
        return FieldError(missing[1], "Required.")
    if not field:
        return FieldError(field, "Send a JSON object.")
    if expected := re.match(r"Expected `(\w+)(?: \| null)?`, got", message):
        return FieldError(field, f"Must be {_TYPES.get(expected[1], expected[1])}.")
    return FieldError(field, message.partition(" - at")[0].replace("Expected", "Must be") + ".")
