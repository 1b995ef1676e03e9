"""Error messages for the fields of a request. Those of the framework would repeat the input."""

from __future__ import annotations

import re
from typing import Annotated, Any

from litestar import Request
from litestar.exceptions import HTTPException, ValidationException
from msgspec import Meta, Struct, inspect

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


def _known_fields(request: Request[Any, Any, Any]) -> dict[str, list[inspect.Type]]:
    """Return the possible types of each field that the operation takes."""
    try:
        body = request.route_handler.parsed_data_field
    except KeyError:  # the framework refused the request before it looked for a route
        return {}
    return _fields(inspect.type_info(body.annotation)) if body else {}


def _fields(struct: inspect.Type) -> dict[str, list[inspect.Type]]:
    fields = struct.fields if isinstance(struct, inspect.StructType) else ()
    return {each.encode_name: _members(each.type) for each in fields}


def _members(kind: inspect.Type) -> list[inspect.Type]:
    while isinstance(kind, inspect.Metadata):
        kind = kind.type
    if isinstance(kind, inspect.UnionType):
        return [member for each in kind.types for member in _members(each)]
    return [kind]


def _words(kind: inspect.Type) -> list[Any]:
    """Return the values of an enum or of a literal type."""
    if isinstance(kind, inspect.EnumType):
        return [member.value for member in kind.cls]
    return list(kind.values) if isinstance(kind, inspect.LiteralType) else []


def _field_error(error: Any, known: dict[str, list[inspect.Type]]) -> FieldError:
    field, message = str(error.get("key", "")), str(error.get("message", ""))
    field = "" if field == "data" else field
    types = known.get(field, [])
    objects = [each for each in types if isinstance(each, inspect.StructType)]
    if "unknown field" in message:
        taken = _fields(objects[0]) if objects else known
        subject = "This field" if objects else "This operation"
        return FieldError(field, f"Unknown field. {subject} takes {', '.join(taken)}.")
    if message.startswith("Invalid enum value"):
        words = [f'"{word}"' for each in types for word in _words(each)]
        words += [f"an object with {' or '.join(_fields(each))}" for each in objects]
        return FieldError(field, f"Give one of {', '.join(words)}." if words else "Not allowed.")
    if missing := re.match(r"Object missing required field `(\w+)`", message):
        return FieldError(missing[1], "Required.")
    if not field:
        return FieldError(field, "Send a JSON object.")
    if expected := re.match(r"Expected `(\w+)(?: \| null)?`, got", message):
        return FieldError(field, f"Must be {_TYPES.get(expected[1], expected[1])}.")
    return FieldError(field, message.partition(" - at")[0].replace("Expected", "Must be") + ".")
