"""The service as a platform runs it: from Procfile, requirements.txt and environment variables."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

import httpx
import pytest

from processes import ROOT, Server, free_port, referral, started
from support import SECRET, Clock, Inbox, Service, ok

INSTALL_SECONDS = 600
PRODUCTION = {
    "REFERRAL_ENV": "production",
    "REFERRAL_SECRET": SECRET,
    "REFERRAL_SMS_URL": "simulated://?delay=0",
    "REFERRAL_PUBLIC_URL": "https://referral.example.com",
    "REFERRAL_TRUSTED_PROXIES": "1",
}


@pytest.fixture(scope="module")
def installed() -> Path:
    """A virtual environment with what requirements.txt names, and nothing else."""
    requirements = ROOT / "requirements.txt"
    venv = ROOT / ".cache" / f"platform-{sha256(requirements.read_bytes()).hexdigest()[:12]}"
    complete = venv / "complete"
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
async def test_the_procfile_serves_people_behind_one_proxy(
    installed: Path, postgres_url: str, tmp_path: Path
) -> None:
    """Two workers, PostgreSQL and a whole sign-in; the log has the address the proxy saw."""
    variables = {
        **PRODUCTION,
        "DATABASE_URL": re.sub(r"^\w+:", "postgres:", postgres_url),
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
    assert '"address": "203.0.113.9"' in log
    assert "198.51.100.1" not in log
    assert "fewer_proxies" not in log
    assert inviter.phone not in log
    assert person.tokens["refresh_token"] not in log


@pytest.mark.xdist_group("postgres")  # where its environment is made
def test_requirements_are_enough_by_themselves(installed: Path) -> None:
    """Nothing of the development tools is there, and pip finds no package wanting."""
    python = installed / "bin" / "python"
    found = subprocess.run(
        [python, "-c", "import pytest"], capture_output=True, text=True, check=False
    )
    assert "No module named 'pytest'" in found.stderr
    subprocess.run([python, "-m", "pip", "check"], check=True, capture_output=True)


def test_the_python_named_for_platforms_is_one_that_the_project_takes() -> None:
    named = (ROOT / ".python-version").read_text().strip()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    least = project["requires-python"].removeprefix(">=")
    assert re.fullmatch(r"3\.\d+", named)
    assert re.fullmatch(r"3\.\d+", least)
    assert int(named.partition(".")[2]) >= int(least.partition(".")[2])


@pytest.mark.parametrize(
    ("change", "starts"),
    [
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
def test_production_refuses_to_start_in_one_clear_line(
    tmp_path: Path, change: dict[str, str], starts: str
) -> None:
    refused = referral(tmp_path, "serve", PORT=str(free_port()), **{**PRODUCTION, **change})
    assert refused.returncode == 1
    lines = refused.stderr.splitlines()
    assert len(lines) == 1, refused.stderr
    assert lines[0].startswith(f"referral: {starts}")


def test_production_tells_everything_that_is_wrong_at_once(tmp_path: Path) -> None:
    refused = referral(tmp_path, "serve", PORT=str(free_port()), REFERRAL_ENV="production")
    assert refused.returncode == 1
    assert [line.split(":")[1].strip() for line in refused.stderr.splitlines()] == [
        "REFERRAL_SECRET",
        "REFERRAL_TRUSTED_PROXIES",
        "REFERRAL_PUBLIC_URL",
        "REFERRAL_SMS_URL",
    ]


def release(venv: Path, folder: Path, variables: Mapping[str, str]) -> None:
    """The Procfile's `release`, to its end."""
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
def web(venv: Path, folder: Path, variables: Mapping[str, str]) -> Iterator[Server]:
    """The Procfile's `web`, on the port that the platform chooses."""
    port = free_port()
    env = platform(venv, folder, {**variables, "PORT": str(port)})
    log = folder / "web.log"
    with started(honcho("web"), port=port, cwd=ROOT, env=env, log=log) as server:
        yield server


def honcho(name: str) -> list[str]:
    """The command that runs one line of the Procfile."""
    # A developer's .env is no part of it
    return [sys.executable, "-m", "honcho", "--env", "/dev/null", "start", name]


def platform(venv: Path, folder: Path, variables: Mapping[str, str]) -> dict[str, str]:
    """What a platform gives a process: `python` is the clean environment's."""
    return {"PATH": f"{venv / 'bin'}:/usr/bin:/bin", "HOME": str(folder), **variables}
