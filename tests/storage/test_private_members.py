"""Private members of asyncpg, Tortoise and uvicorn, which docs/private-members.md lists.

If a new release moves one of them, these tests say which one and where it is used.
"""

from __future__ import annotations

import ast
import asyncio
import inspect
import re
from collections.abc import Iterator
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from pkgutil import resolve_name
from types import ModuleType
from typing import NamedTuple

import pytest
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle
from uvicorn.server import ServerState

from processes import ROOT

SOURCE = ROOT / "src" / "referral"
DOCUMENT = (ROOT / "docs" / "private-members.md").read_text()
PACKAGES = {"asyncpg", "tortoise", "uvicorn"}
# Attributes of uvicorn's protocol, and of which class of uvicorn they are
HELD = {"cycle": RequestResponseCycle, "flow": FlowControl, "server_state": ServerState}


class Member(NamedTuple):
    """A row of the document. owner: the dotted path of a class, module or function."""

    owner: str
    name: str
    files: tuple[str, ...]


def documented() -> list[Member]:
    members = []
    for section in DOCUMENT.split("\n### `")[1:]:
        owner, _, rows = section.partition("`")
        for names, files in re.findall(r"^\| (`[^|]+) \| (`[^|]+) \|", rows, re.MULTILINE):
            used_in = tuple(re.findall("`(.+?)`", files))
            members += [Member(owner, name, used_in) for name in re.findall("`(.+?)`", names)]
    return members


@pytest.mark.parametrize("member", documented(), ids=lambda each: f"{each.owner}.{each.name}")
def test_private_member_exists(member: Member) -> None:
    try:
        owner = resolve_name(member.owner)
    except (ImportError, AttributeError):
        pytest.fail(f"{member.owner} is gone. {member.name} of it is used in {member.files}")
    if not has(owner, member.name):
        pytest.fail(
            f"{member.owner} has no {member.name} any more, which is used in {member.files}"
        )


@pytest.mark.parametrize(
    ("package", "tested"), re.findall(r"^## (\S+) (\S+)$", DOCUMENT, re.MULTILINE)
)
def test_the_tested_version_is_installed(package: str, tested: str) -> None:
    """The dependency has an upper bound, too."""
    assert version(package) == tested, "see docs/private-members.md on how to take a new release"
    assert re.search(rf'"{package} >=\S+,<\S+"', (ROOT / "pyproject.toml").read_text())


def test_the_document_lists_what_the_code_uses() -> None:
    listed = {(file, member.name) for member in documented() for file in member.files}
    used = {
        (str(path.relative_to(SOURCE)), name)
        for path in SOURCE.rglob("*.py")
        if "migrations" not in path.parts
        for name in used_in(path)
    }
    missing = sorted(used - listed)
    assert missing == [], "used, but not in docs/private-members.md"
    unused = [
        (file, name)
        for file, name in sorted(listed)
        if not re.search(rf"\b{name}\b", (SOURCE / file).read_text())
    ]
    assert unused == [], "in docs/private-members.md, but not used"


def used_in(path: Path) -> Iterator[str]:
    """Find the private members that a module uses."""
    text = path.read_text()
    for line in text.splitlines():
        if "noqa: SLF001" in line:
            yield from re.findall(r"(?<!\bself)\.(_\w+)", line)
    if not any(package in text for package in PACKAGES):
        return
    module = import_module(".".join(path.relative_to(SOURCE.parent).with_suffix("").parts))
    for node in ast.walk(ast.parse(text)):
        match node:
            case ast.ImportFrom(module=str(name)) if name.startswith("uvicorn."):
                yield from (each.name for each in node.names)
            case ast.keyword(arg=str(name)) if name.startswith("_"):
                yield name
            case ast.ClassDef() if isinstance(used_by := vars(module).get(node.name), type):
                yield from inherited(used_by, node)


def inherited(used_by: type, node: ast.ClassDef) -> Iterator[str]:
    """Find the members of a library's class that a class derived from it uses or overrides.

    asyncpg and Tortoise document their public members; uvicorn documents none of these classes.
    """
    packages = {base.__module__.partition(".")[0] for base in used_by.__mro__} & PACKAGES
    for each in ast.walk(node) if packages else ():
        match each:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                owner = used_by
            case ast.Attribute(ast.Name("self") | ast.Call(ast.Name("super")), name):
                owner = used_by
            case ast.Attribute(ast.Attribute(ast.Name("self"), held) | ast.Name(held), name):
                if held not in HELD:
                    continue
                owner = HELD[held]
            case _:
                continue
        is_private = name.startswith("_") or "uvicorn" in packages
        if is_private and not name.startswith("__") and not hasattr(asyncio.Protocol, name):
            bases = [base for base in owner.__mro__ if is_from_library(base)]
            if any(has(base, name) for base in bases):
                yield name


def is_from_library(base: type) -> bool:
    return base.__module__.partition(".")[0] in PACKAGES


def has(owner: object, name: str) -> bool:
    """Return whether a module, class or function has a member: an attribute, one that the methods
    of a class set, or a parameter.
    """
    if isinstance(owner, type):
        return any(hasattr(base, name) or _sets(base, name) for base in owner.__mro__)
    if isinstance(owner, ModuleType):
        return hasattr(owner, name)
    assert callable(owner)
    return name in inspect.signature(owner).parameters


def _sets(owner: type, name: str) -> bool:
    if not is_from_library(owner):
        return False
    try:
        source = inspect.getsource(owner)
    except (OSError, TypeError):
        # Written in C
        return False
    return bool(re.search(rf"^\s+(self\.)?{name}(: .+)? = |^    {name}: ", source, re.MULTILINE))
