"""The documents agree with the code."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import rich_click as click
from click.testing import CliRunner

from processes import ROOT, environment, serving
from referral import cli
from referral.core.errors import Refusal
from referral.http import problems
from referral.limits.gcra import DAY
from referral.limits.policy import Limits
from referral.limits.takeovers import takeovers
from referral.settings import variable_names
from referral.webhooks import events

README = (ROOT / "README.md").read_text()
API, ADMINISTRATION, ARCHITECTURE, CLI, SETTINGS, WEBHOOKS = (
    (ROOT / "docs" / f"{name}.md").read_text()
    for name in ("api", "administration", "architecture", "cli", "settings", "webhooks")
)
OPERATION = re.compile(r"^\| `([A-Z]+) (/[^`]*)` \| .+ \| `(.+)` \|$", re.MULTILINE)


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Return the OpenAPI document of a running server."""
    with serving(tmp_path_factory.mktemp("docs")) as server:
        answer: dict[str, Any] = httpx.get(f"{server.url}/docs/openapi.json").json()
        return answer


def test_docs_list_every_operation(document: dict[str, Any]) -> None:
    """Each once, with an example of its method and path."""
    rows = OPERATION.findall(API)
    listed = {(method, path) for method, path, _ in rows}
    different = listed ^ {
        (method.upper(), path) for path, item in document["paths"].items() for method in item
    }
    assert not different, f"add a row to docs/api.md, or remove it: {different}"
    assert len(rows) == len(listed)
    for method, path, example in rows:
        url = re.search(r"\$BASE(/[^\s\"?]*)", example)
        assert url is not None, example
        assert re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", path), url[1]), example
        explicit = re.search(r" -X (\w+)", example)
        implied = "POST" if "--data" in example else "GET"
        assert (explicit[1] if explicit else implied) == method, example


def test_docs_list_every_setting() -> None:
    listed = {
        name
        for row in SETTINGS.splitlines()
        if row.startswith("| `")
        for name in re.findall(r"`([A-Z_]+)`", row.split("|")[1])
    }
    different = listed ^ variable_names()
    assert not different, f"add to docs/settings.md, or remove: {different}"


def test_docs_list_every_webhook_event() -> None:
    listed = set(re.findall(r"^\| `(\w+\.\w+)` \|", WEBHOOKS, re.MULTILINE))
    different = listed ^ set(events.TYPES)
    assert not different, f"add to docs/webhooks.md, or remove: {different}"


def test_docs_list_every_command() -> None:
    commands = re.findall(
        r"^\| `\.venv/bin/python -m referral ([a-z -]+?)(?: [A-Z]+)*` \|", CLI, re.MULTILINE
    )
    for command in commands:
        shown = CliRunner().invoke(cli.main, [*command.split(), "--help"])
        assert shown.exit_code == 0, command
    context = click.Context(cli.main)
    assert {command.split()[0] for command in commands} == set(cli.main.list_commands(context))


def test_readme_sign_in_works_as_pasted(database_url: str, tmp_path: Path) -> None:
    """Then the examples of docs/api.md run, from top to bottom."""
    walk = re.search(r"```sh\n(BASE=.*?)```", README, re.DOTALL)
    administration = re.search(r"```sh\n(KEY=.*?)```", ADMINISTRATION, re.DOTALL)
    helpers = re.search(r"```sh\n(send_code.*?)```", API, re.DOTALL)
    assert walk is not None
    assert administration is not None
    assert helpers is not None
    apps = re.search(r"```sh\n(CLIENT=.*?)```", API, re.DOTALL)
    assert apps is not None
    # Without those that need what an app gets from a sign-in on the pages (tests/openid/ has real
    # apps), or what a provider signs
    rows = [row for row in OPERATION.findall(API) if not re.search(r"\$(APP|PROVIDER)_", row[2])]
    examples = "\n".join(f"echo\n{example}" for _, _, example in rows)
    with serving(tmp_path, DATABASE_URL=database_url, REFERRAL_SMS_URL="simulated://") as server:
        pasted = walk[1].replace("http://127.0.0.1:8000", server.url)
        pasted = pasted.replace("curl", "curl --fail")
        pasted += administration[1].replace(".venv/bin/python", sys.executable)
        pasted += helpers[1] + apps[1].replace(".venv/bin/python", sys.executable)
        pasted += examples.replace("curl", "curl --fail")
        shell = subprocess.run(
            ["bash", "-euxc", pasted],
            cwd=tmp_path,
            env=environment(tmp_path, DATABASE_URL=database_url),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert shell.returncode == 0, shell.stderr[-3000:]
    assert '"phone":"+79991234567"' in shell.stdout
    assert (tmp_path / "invite.png").read_bytes().startswith(b"\x89PNG")


def test_the_readme_is_one_screen() -> None:
    assert len(README.encode()) < 8 * 1024


def test_the_architecture_names_files_that_exist() -> None:
    """Paths in backticks, relative to src/referral unless they begin with a folder beside it."""
    named = re.findall(r"`((?:[\w.-]+/)+(?:[\w.-]+\.\w+)?|\w+\.py)`", ARCHITECTURE)
    assert len(named) > 50
    for path in named:
        beside = path.split("/")[0] in {"tests", "docs", "postman"}
        assert (ROOT / ("" if beside else "src/referral") / path).exists(), path


def test_the_architecture_lists_every_error() -> None:
    assert problems.Overloaded in Refusal.__subclasses__()
    table = ARCHITECTURE.partition("## Errors")[2].partition("**Retry-After**")[0]
    listed = set(re.findall(r"`(\w+)`", " ".join(row.split("|")[2] for row in _rows(table))))
    different = listed ^ {each.code for each in _errors()}
    assert not different, f"add to the errors in docs/architecture.md, or remove: {different}"


def test_every_error_has_a_status() -> None:
    without = {each.__name__ for each in _errors()} - {each.__name__ for each in problems.STATUSES}
    assert not without, f"add to STATUSES in http/problems.py: {without}"


def _errors() -> list[type[Refusal]]:
    return [each for each in _refusals(Refusal) if hasattr(each, "code")]


def _refusals(base: type[Refusal]) -> Iterator[type[Refusal]]:
    for each in base.__subclasses__():
        yield each
        yield from _refusals(each)


def _rows(table: str) -> list[str]:
    return [row for row in table.splitlines() if re.match(r"\| \d", row)]


def test_links_between_documents_have_targets() -> None:
    for document in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]:
        for target in re.findall(r"\]\((?!http|#)([^)#]+)", document.read_text()):
            assert (document.parent / target).exists(), f"{document.name}: {target}"


def test_the_guessing_table_agrees_with_the_rules() -> None:
    text = (ROOT / "docs" / "security.md").read_text()
    rows = re.findall(r"^\| (\d) digits[^|]*\|(.+)\|$", text, re.MULTILINE)
    assert len(rows) == 3
    for digits, cells in rows:
        limits = Limits(code_length=int(digits))
        computed = [
            scale * takeovers(limits, phones=phones, seconds=days * DAY)
            for phones, scale in ((1, 100), (10_000, 1))
            for days in (1, 365)
        ]
        written = [float(cell.split()[0]) for cell in cells.split("|")]
        assert written == pytest.approx(computed, rel=0.03)
