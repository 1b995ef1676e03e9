"""The service as platforms run it: Procfile, requirements, Dockerfile, environment variables."""

from __future__ import annotations

import asyncio
import fcntl
import json
import re
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from secrets import token_hex

import asyncpg
import httpx
import pytest

from processes import (
    ROOT,
    Server,
    environment,
    free_port,
    new_postgres_database,
    referral,
    started,
    stop,
)
from referral.settings import parse, variable_names
from referral.storage.configuration import POOL_SIZE
from support import SECRET, TODAY, Clock, Inbox, Service, ok

INSTALL_SECONDS = 600
# Connections of Heroku's smallest database, essential-0
SMALLEST_DATABASE = 20
DEPLOY = (ROOT / "docs" / "deploy.md").read_text()
PRODUCTION = {
    "REFERRAL_ENV": "production",
    "REFERRAL_SECRET": SECRET,
    "REFERRAL_SMS_URL": "simulated://?delay=0",
    "REFERRAL_PUBLIC_URL": "https://referral.example.com",
    "REFERRAL_TRUSTED_PROXIES": "1",
}


@pytest.fixture(scope="module")
def installed() -> Path:
    """A virtual environment with the packages of requirements.txt, and no others."""
    requirements = ROOT / "requirements.txt"
    venv = ROOT / ".cache" / f"platform-{sha256(requirements.read_bytes()).hexdigest()[:12]}"
    complete = venv / "complete"
    venv.parent.mkdir(exist_ok=True)
    with venv.with_suffix(".lock").open("w") as lock:
        # Another process of these tests may be creating it
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not complete.exists():
            python = venv / "bin" / "python"
            subprocess.run([sys.executable, "-m", "venv", "--clear", venv], check=True)
            subprocess.run(
                [python, "-m", "pip", "install", "--quiet", "--require-hashes", "-r", requirements],
                check=True,
                timeout=INSTALL_SECONDS,
            )
            complete.touch()
    return venv


@pytest.mark.xdist_group("postgres")
async def test_procfile_serves_behind_one_proxy(
    installed: Path, postgres_url: str, tmp_path: Path
) -> None:
    """Two workers, PostgreSQL and a sign-in; the log has the address that the proxy saw."""
    variables = {
        **PRODUCTION,
        "DATABASE_URL": re.sub(r"^\w+:", "postgres:", await new_postgres_database(postgres_url)),
        "WEB_CONCURRENCY": "2",
    }
    release(installed, tmp_path, variables)
    with web(installed, tmp_path, variables) as server:
        proxied = {"X-Forwarded-For": "198.51.100.1, 203.0.113.9"}
        async with httpx.AsyncClient(base_url=server.url, timeout=30, headers=proxied) as http:
            service = Service(http, Clock(), Inbox())
            inviter = await service.sign_in()
            person = await service.sign_in()
            ok(await person.activate(await inviter.invite_code()))
            ok(await person.refresh())
            profile = await inviter.profile()
            assert profile["invitees"] == [person.phone]
            assert profile["invite_link"].startswith("https://referral.example.com/i/")
            for path in ("/docs", "/docs/openapi.json", "/.well-known/jwks.json", "/health/live"):
                assert (await service.get(path)).status_code == 200
    log = server.log.read_text()
    assert '"address":"203.0.113.9"' in log
    assert "198.51.100.1" not in log
    assert "too_few_proxies" not in log
    assert inviter.phone not in log
    assert person.tokens["refresh_token"] not in log


@pytest.mark.xdist_group("postgres")
async def test_web_and_worker_run_side_by_side(
    installed: Path, postgres_url: str, tmp_path: Path
) -> None:
    """After two releases at the same time, one process does the housekeeping; people sign in."""
    url = await new_postgres_database(postgres_url)
    variables = {**PRODUCTION, "DATABASE_URL": url}
    async with asyncio.TaskGroup() as group:
        for _ in range(2):
            group.create_task(asyncio.to_thread(release, installed, tmp_path, variables))
    with web(installed, tmp_path, variables, "worker") as server:
        proxied = {"X-Forwarded-For": "203.0.113.9"}
        async with httpx.AsyncClient(base_url=server.url, timeout=30, headers=proxied) as http:
            await Service(http, Clock(), Inbox()).sign_in()
        deadline = time.monotonic() + 20
        while "the worker is running" not in server.log.read_text():
            assert time.monotonic() < deadline, server.log.read_text()
            await asyncio.sleep(0.1)
        connection = await asyncpg.connect(url)
        try:
            assert await connection.fetchval("SELECT count(*) FROM leases") == 1
        finally:
            await connection.close()
    log = server.log.read_text()
    assert "housekeeping_failed" not in log
    assert "Traceback" not in log


def test_app_json_is_complete() -> None:
    """Its variables, what Heroku generates or asks for, and a database are enough to start."""
    app = json.loads((ROOT / "app.json").read_text())
    lines = dict(line.split(": ", 1) for line in (ROOT / "Procfile").read_text().splitlines())
    assert app["formation"].keys() <= lines.keys()
    assert app["env"].keys() <= variable_names()
    given = {
        name: "https://my-app.example.com" if name == "REFERRAL_PUBLIC_URL" else each.get("value")
        for name, each in app["env"].items()
    }
    assert app["env"]["REFERRAL_SECRET"] == {**app["env"]["REFERRAL_SECRET"], "generator": "secret"}
    given |= {"REFERRAL_SECRET": token_hex(32), "DATABASE_URL": "postgres://u:p@host/name"}
    settings = parse(given, today=TODAY)
    assert settings.in_production
    # The old and the new version run side by side during a deploy
    assert 2 * settings.workers * POOL_SIZE <= SMALLEST_DATABASE


@pytest.mark.xdist_group("postgres")
def test_commands_of_the_image(installed: Path, tmp_path: Path) -> None:
    """The commands of the Dockerfile serve and check the health, run here without Docker."""
    lines = (ROOT / "Dockerfile").read_text().replace("\\\n", "").splitlines()
    variables = dict(
        word.split("=", 1)
        for line in lines
        if line.startswith("ENV ")
        for word in line.split()[1:]
        if not word.startswith("PATH=")
    )
    port = free_port()
    env = platform(
        installed,
        tmp_path,
        {
            **variables,
            **PRODUCTION,
            "DATABASE_URL": f"sqlite://{tmp_path}/referral.sqlite3",
            "PYTHONPATH": str(ROOT / "src"),
            "PORT": str(port),
            # The health check must not use a proxy of the machine
            "http_proxy": "http://127.0.0.1:9",
        },
    )
    assert variables["REFERRAL_ENV"] == "production"
    health, command = (json.loads(line.partition("CMD ")[2]) for line in lines if "CMD [" in line)
    unhealthy = subprocess.run(health, env=env, capture_output=True, timeout=30, check=False)
    assert unhealthy.returncode != 0
    with started(command, port=port, cwd=tmp_path, env=env, log=tmp_path / "image.log"):
        subprocess.run(health, env=env, check=True, timeout=30)


def test_image_has_its_files_and_the_named_python() -> None:
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    python = (ROOT / ".python-version").read_text().strip()
    bases = [line.split()[1] for line in lines if line.startswith("FROM ")]
    assert bases == [f"python:{python}-slim-bookworm"] * 2
    copied = {
        line.split()[1] for line in lines if line.startswith("COPY ") and "--from" not in line
    }
    let_in = {
        line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line[0] == "!"
    }
    assert copied == let_in
    assert all((ROOT / name).exists() for name in copied)


def test_command_for_pythonanywhere_serves_on_its_socket(tmp_path: Path) -> None:
    """Behind one proxy, whose own address is unknown on a Unix socket."""
    found = re.search(r"<!-- command: pythonanywhere -->\n```sh\n(.*?)```", DEPLOY, re.DOTALL)
    assert found is not None
    variables = {**PRODUCTION, "DATABASE_URL": f"sqlite://{tmp_path}/referral.sqlite3"}
    assert referral(tmp_path, "migrate", **variables).returncode == 0
    command = found[1].replace("/home/YOU/referral", str(ROOT))
    command = command.replace(".venv/bin/uvicorn", f"{sys.executable} -m uvicorn")
    path = tmp_path / "socket"
    env = environment(tmp_path, **variables, DOMAIN_SOCKET=str(path))
    log = tmp_path / "uvicorn.log"
    with log.open("wb") as output:
        process = subprocess.Popen(["sh", "-c", command], env=env, stdout=output, stderr=output)
    try:
        deadline = time.monotonic() + 30
        while not path.exists():
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)
        with httpx.Client(
            transport=httpx.HTTPTransport(uds=str(path)),
            base_url="http://127.0.0.1",
            headers={"X-Forwarded-For": "198.51.100.1, 203.0.113.9"},
        ) as http:
            sent = ok(http.post("/api/v1/auth/send-code", json={"phone": "+79990000001"}))
            body = {"token": sent["token"], "code": sent["code"]}
            ok(http.post("/api/v1/auth/verify", json=body))
    finally:
        stop(process)
    assert '"address":"203.0.113.9"' in log.read_text()
    assert "198.51.100.1" not in log.read_text()


@pytest.mark.xdist_group("postgres")  # with the tests that use the same environment
def test_requirements_are_complete(installed: Path) -> None:
    """No development tool is installed, and pip misses no package."""
    python = installed / "bin" / "python"
    found = subprocess.run(
        [python, "-c", "import pytest"], capture_output=True, text=True, check=False
    )
    assert "No module named 'pytest'" in found.stderr
    subprocess.run([python, "-m", "pip", "check"], check=True, capture_output=True)


def test_python_named_for_platforms_is_supported() -> None:
    named = (ROOT / ".python-version").read_text().strip()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    least = project["requires-python"].removeprefix(">=")
    assert re.fullmatch(r"3\.\d+", named)
    assert re.fullmatch(r"3\.\d+", least)
    assert int(named.partition(".")[2]) >= int(least.partition(".")[2])


@pytest.mark.parametrize(
    ("change", "starts"),
    [
        ({"DATABASE_URL": ""}, "DATABASE_URL: "),
        ({"REFERRAL_SECRET": ""}, "REFERRAL_SECRET: "),
        ({"REFERRAL_SECRET": "short"}, "REFERRAL_SECRET: "),
        ({"REFERRAL_SECRET": "a" * 64}, "REFERRAL_SECRET: "),
        ({"REFERRAL_TRUSTED_PROXIES": ""}, "REFERRAL_TRUSTED_PROXIES: "),
        ({"REFERRAL_PUBLIC_URL": ""}, "REFERRAL_PUBLIC_URL: "),
        ({"REFERRAL_PUBLIC_URL": "http://referral.example.com"}, "REFERRAL_PUBLIC_URL: "),
        ({"REFERRAL_SMS_URL": ""}, "REFERRAL_SMS_URL: "),
        ({"REFERRAL_SMS_URL": "console://"}, "REFERRAL_SMS_URL: "),
    ],
    ids=[
        "no database",
        "no secret",
        "short secret",
        "weak secret",
        "no proxies",
        "no public URL",
        "public URL without TLS",
        "no gateway",
        "console",
    ],
)
def test_production_refuses_to_start_with_one_line(
    tmp_path: Path, change: dict[str, str], starts: str
) -> None:
    variables = {**PRODUCTION, "DATABASE_URL": "sqlite://referral.sqlite3", **change}
    refused = referral(tmp_path, "serve", PORT=str(free_port()), **variables)
    assert refused.returncode == 1
    lines = refused.stderr.splitlines()
    assert len(lines) == 1, refused.stderr
    assert lines[0].startswith(f"referral: {starts}")
    assert not list(tmp_path.iterdir())


def test_production_reports_every_wrong_setting(tmp_path: Path) -> None:
    refused = referral(tmp_path, "serve", PORT=str(free_port()), REFERRAL_ENV="production")
    assert refused.returncode == 1
    assert [line.split(":")[1].strip() for line in refused.stderr.splitlines()] == [
        "DATABASE_URL",
        "REFERRAL_SECRET",
        "REFERRAL_TRUSTED_PROXIES",
        "REFERRAL_PUBLIC_URL",
        "REFERRAL_SMS_URL",
    ]


def release(venv: Path, folder: Path, variables: Mapping[str, str]) -> None:
    """Run the Procfile's `release`."""
    released = subprocess.run(
        honcho("release"),
        cwd=ROOT,
        env=platform(venv, folder, variables),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert released.returncode == 0, released.stdout + released.stderr


@contextmanager
def web(venv: Path, folder: Path, variables: Mapping[str, str], *beside: str) -> Iterator[Server]:
    """Run the Procfile's `web`, and other lines beside it, until the block ends."""
    port = free_port()
    env = platform(venv, folder, {**variables, "PORT": str(port)})
    log = folder / "web.log"
    with started(honcho("web", *beside), port=port, cwd=ROOT, env=env, log=log) as server:
        yield server


def honcho(*names: str) -> list[str]:
    """Return the command that runs these lines of the Procfile."""
    # Without a developer's .env
    return [sys.executable, "-m", "honcho", "--env", "/dev/null", "start", *names]


def platform(venv: Path, folder: Path, variables: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a process on a platform, with the `python` of the venv."""
    return {"PATH": f"{venv / 'bin'}:/usr/bin:/bin", "HOME": str(folder), **variables}
