"""Two pages: the list of operations, which needs no JavaScript, and the page to try them.

The list is made from the OpenAPI document. Both have the team's name, logo and colours.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment
from markupsafe import Markup, escape

from referral.core.colour import Palette
from referral.http.pages import appearance
from referral.http.pages.render import TEMPLATES, new_environment
from referral.http.pages.site import Site
from referral.http.requests import FORM

_FOLDER = Path(__file__).parent
_CODE = re.compile("`([^`]+)`")
_NUMBERED = re.compile(r"^\d+\. ", re.MULTILINE)
_CREDENTIALS = {"bearer": "an access token", "api_key": "an API key"}


@dataclass(frozen=True, slots=True)
class Field:
    """A parameter, or a field of a body. schema: the name of the object that it holds, if any."""

    name: str
    kind: str
    is_required: bool
    description: str
    schema: str = ""


@dataclass(frozen=True, slots=True)
class DocumentedResponse:
    """A response. schema: the name of the object in its body, if any."""

    status: str
    description: str
    schema: str


@dataclass(frozen=True, slots=True)
class Operation:
    """An operation. credentials: what it needs, in words."""

    id: str
    method: str
    path: str
    summary: str
    description: str
    credentials: str
    is_form: bool
    parameters: list[Field]
    body: list[Field]
    successes: list[DocumentedResponse]
    errors: list[DocumentedResponse]


@dataclass(frozen=True, slots=True)
class Group:
    """The operations of a tag."""

    name: str
    description: str
    operations: list[Operation]


def render(document: dict[str, Any], site: Site) -> bytes:
    """Return the list. document: the completed OpenAPI document."""
    schemas = document["components"]["schemas"]
    groups = list(_groups(document))
    names = sorted(_reached(groups, schemas))
    html = (
        _environment()
        .get_template("reference.html")
        .render(
            site=site,
            css=_css(site.palette),
            intro=_blocks(document["info"]["description"]),
            groups=groups,
            objects={name: list(_fields(schemas[name])) for name in names},
        )
    )
    return html.encode()


def render_try(site: Site) -> bytes:
    """Return the page to try operations. It loads Swagger UI, and that the document."""
    css = appearance.team_colours(site.palette)
    return _environment().get_template("try.html").render(site=site, css=css).encode()


def style_sources(palette: Palette) -> str:
    """Return the source expressions for the inlined style sheets of both pages in a policy."""
    return " ".join(
        appearance.source(text) for text in (_css(palette), appearance.team_colours(palette))
    )


@cache
def _css(palette: Palette) -> Markup:
    # Inlined, so that the browser can draw the page at once
    own = (_FOLDER / "reference.css").read_text()
    return appearance.css(palette) + Markup(own)  # noqa: S704 - our own file


def _groups(document: dict[str, Any]) -> Iterator[Group]:
    for tag in document["tags"]:
        operations = [
            _operation(path, method, operation, document["components"]["schemas"])
            for path, methods in document["paths"].items()
            for method, operation in methods.items()
            if operation["tags"][0] == tag["name"]
        ]
        yield Group(tag["name"], tag["description"], operations)


def _operation(
    path: str, method: str, operation: dict[str, Any], schemas: dict[str, Any]
) -> Operation:
    content = operation.get("requestBody", {}).get("content", {})
    body = next((_resolved(each["schema"], schemas) for each in content.values()), {})
    responses = [
        DocumentedResponse(status, response["description"], _schema_of_body(response))
        for status, response in sorted(operation["responses"].items())
    ]
    accepted = [name for each in operation.get("security", ()) for name in each]
    return Operation(
        id=operation["operationId"],
        method=method.upper(),
        path=path,
        summary=operation["summary"],
        description=operation.get("description", ""),
        credentials=" or ".join(_CREDENTIALS[name] for name in accepted),
        is_form=FORM in content,
        parameters=[
            Field(
                each["name"],
                _kind(each["schema"])[0],
                each.get("required", False),
                each.get("description", ""),
            )
            for each in operation.get("parameters", ())
        ],
        body=list(_fields(body)),
        successes=[each for each in responses if each.status < "400"],
        errors=[each for each in responses if each.status >= "400"],
    )


def _schema_of_body(response: dict[str, Any]) -> str:
    content = response.get("content", {}).values()
    return next((_kind(each["schema"])[1] for each in content if "schema" in each), "")


def _resolved(schema: dict[str, Any], schemas: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = schemas[_kind(schema)[1]] if "$ref" in schema else schema
    return found


def _fields(schema: dict[str, Any]) -> Iterator[Field]:
    required = schema.get("required", ())
    for name, field in schema.get("properties", {}).items():
        kind, refers_to = _kind(field)
        yield Field(name, kind, name in required, field.get("description", ""), refers_to)


def _kind(schema: dict[str, Any]) -> tuple[str, str]:
    """Return the type of a value in words, and the name of the object in it, if any."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return name, name
    if "enum" in schema:
        return " or ".join(f"`{each}`" for each in schema["enum"]), ""
    for union in ("oneOf", "anyOf"):
        if union in schema:
            kinds = [_kind(each) for each in schema[union]]
            words = list(dict.fromkeys(words for words, _ in kinds))
            return " or ".join(words), next((name for _, name in kinds if name), "")
    if schema.get("type") == "array":
        item, name = _kind(schema.get("items", {}))
        return f"array of {item}", name
    return str(schema.get("format") or schema.get("type", "any")), ""


def _reached(groups: list[Group], schemas: dict[str, Any]) -> set[str]:
    """Return the names of objects in responses and bodies, and of those inside them."""
    found: set[str] = set()
    operations = [operation for group in groups for operation in group.operations]
    waiting = [field.schema for one in operations for field in one.body]
    waiting += [each.schema for one in operations for each in (*one.successes, *one.errors)]
    while waiting:
        name = waiting.pop()
        if name and name not in found:
            found.add(name)
            waiting += [field.schema for field in _fields(schemas[name])]
    return found


def _inline(text: str) -> Markup:
    """Escape a text, and mark up its code."""
    return Markup(_CODE.sub(r"<code>\1</code>", str(escape(text))))  # noqa: S704 - escaped


def _blocks(text: str) -> Markup:
    """Return the paragraphs and numbered lists of a text in Markdown."""
    html: list[str] = []
    for block in text.split("\n\n"):
        if _NUMBERED.match(block):
            listed = (_inline(" ".join(item.split())) for item in _NUMBERED.split(block) if item)
            html.append("<ol>" + "".join(f"<li>{item}</li>" for item in listed) + "</ol>")
        else:
            html.append(f"<p>{_inline(block)}</p>")
    return Markup("\n").join(Markup(each) for each in html)  # noqa: S704 - escaped


@cache
def _environment() -> Environment:
    environment = new_environment(_FOLDER, TEMPLATES)
    environment.filters["inline"] = _inline
    environment.globals["colors"] = appearance.EITHER
    return environment
