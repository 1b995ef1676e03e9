"""The commands, each run as a process of its own."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from processes import ROOT, free_port, new_database, new_postgres_database, referral, serving
from referral.storage import users
from support import SECRET, Inbox, new_phone, ok, running

PASSWORD = "a-password-of-the-tests"
OPEN_DEMO = {
    "REFERRAL_ENV": "production",
    "REFERRAL_SECRET": SECRET,
    "REFERRAL_SMS_URL": "simulated://?delay=0",
    "REFERRAL_PUBLIC_URL": "https://referral.example.com",
    "REFERRAL_TRUSTED_PROXIES": "0",
}
TEST_PHONE = "+79990000001"


@pytest.fixture
async def fresh_url(database_kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> str:
    """Return the URL of a database without tables."""
    return await new_database(database_kind, tmp_path, request)


@pytest.fixture
def taken_port() -> Iterator[int]:
    """Return a port on which another process listens."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        yield other.getsockname()[1]


def refusal(finished: subprocess.CompletedProcess[str]) -> str:
    """Assert that a command failed with one line, and return it."""
    assert finished.returncode not in {0, None}
    assert "Traceback" not in finished.stderr, finished.stderr
    lines = finished.stderr.strip().splitlines()
    assert len(lines) == 1, finished.stderr
    assert lines[0].startswith("referral: ")
    return lines[0]


@pytest.mark.parametrize(
    ("group", "commands"),
    [
        (
            (),
            (
                *("serve", "worker", "migrate", "secret", "admin", "key", "users", "webhooks"),
                *("demo", "doctor", "database", "client", "signing-key", "rewards"),
            ),
        ),
        (("secret",), ("new",)),
        (("admin",), ("grant", "revoke")),
        (("key",), ("new", "list", "revoke")),
        (("client",), ("new", "list", "show", "rotate", "delete")),
        (("signing-key",), ("rotate",)),
        (
            ("users",),
            (
                *("list", "show", "add", "block", "unblock", "delete", "import", "export"),
                *("check", "phone"),
            ),
        ),
        (("rewards",), ("export",)),
        (("webhooks",), ("tail", "replay", "status", "resume")),
    ],
    ids=[
        *("referral", "secret", "admin", "key", "client", "signing-key", "users", "rewards"),
        "webhooks",
    ],
)
def test_help_lists_the_commands(
    tmp_path: Path, group: tuple[str, ...], commands: tuple[str, ...]
) -> None:
    helped = referral(tmp_path, *group, "--help")
    assert helped.returncode == 0
    _, _, listed = helped.stdout.partition("Commands")
    rows = (line for line in listed.splitlines() if line.startswith("│ ") and line[2] != " ")
    assert {row.split()[1] for row in rows} == set(commands)


def test_an_unknown_command_is_refused(tmp_path: Path) -> None:
    refused = referral(tmp_path, "serv")
    assert refused.returncode == 2
    assert "No such command 'serv'" in refused.stderr
    assert "Did you mean one of: 'secret', 'serve'" in refused.stderr


def test_a_new_secret_is_good_for_production(tmp_path: Path) -> None:
    printed = [referral(tmp_path, "secret", "new").stdout for _ in range(2)]
    assert printed[0] != printed[1]
    for secret in printed:
        assert secret.endswith("\n")
        assert len(secret.strip()) >= 32
        checked = referral(
            tmp_path,
            "migrate",
            DATABASE_URL="sqlite://referral.sqlite3",
            **{**OPEN_DEMO, "REFERRAL_SECRET": secret.rstrip("\n")},
        )
        assert checked.returncode == 0, checked.stderr


def test_migrate_creates_the_tables_once(fresh_url: str, tmp_path: Path) -> None:
    first = referral(tmp_path, "migrate", DATABASE_URL=fresh_url)
    assert first.returncode == 0, first.stderr
    assert first.stdout.startswith("applied 0001_tables\n")
    second = referral(tmp_path, "migrate", DATABASE_URL=fresh_url)
    assert (second.returncode, second.stdout) == (0, "the database is up to date\n")


async def test_a_grant_before_sign_up_makes_only_that_user_an_admin(
    database_url: str, tmp_path: Path
) -> None:
    phone, other = new_phone(), new_phone()
    granted = referral(tmp_path, "admin", "grant", f" {phone[:2]} {phone[2:]}", **on(database_url))
    assert granted.stdout == f"{phone} will become an administrator at the first sign-in\n"
    async with running(database_url) as service:
        for each in (phone, other):
            await service.sign_in(each)
        assert await is_admin(phone)
        assert not await is_admin(other)


async def test_a_grant_after_sign_up_applies_and_can_be_revoked(
    database_url: str, tmp_path: Path
) -> None:
    phone = new_phone()
    async with running(database_url) as service:
        await service.sign_in(phone)
        granted = referral(tmp_path, "admin", "grant", phone, **on(database_url))
        assert granted.stdout == f"{phone} is an administrator\n"
        assert await is_admin(phone)
        revoked = referral(tmp_path, "admin", "revoke", phone, **on(database_url))
        assert revoked.stdout == f"{phone} is no longer an administrator\n"
        assert not await is_admin(phone)
    again = referral(tmp_path, "admin", "revoke", phone, **on(database_url))
    assert again.stdout == f"{phone} was not an administrator\n"


async def test_a_grant_can_be_revoked_before_sign_up(database_url: str, tmp_path: Path) -> None:
    phone = new_phone()
    for command in ("grant", "revoke"):
        done = referral(tmp_path, "admin", command, phone, **on(database_url))
        assert done.returncode == 0, done.stderr
    async with running(database_url) as service:
        await service.sign_in(phone)
        assert not await is_admin(phone)


@pytest.mark.parametrize("command", ["grant", "revoke"])
def test_only_phones_can_administer(tmp_path: Path, command: str) -> None:
    settings = on(f"sqlite://{tmp_path}/referral.sqlite3")
    assert referral(tmp_path, "migrate", **settings).returncode == 0
    assert "not a possible phone number" in refusal(
        referral(tmp_path, "admin", command, "anna", **settings)
    )


def test_a_grant_needs_the_tables(tmp_path: Path) -> None:
    """Before `referral migrate` the command says to run it."""
    settings = on(f"sqlite://{tmp_path}/referral.sqlite3")
    assert "referral migrate" in refusal(
        referral(tmp_path, "admin", "grant", new_phone(), **settings)
    )


@pytest.mark.parametrize("signed_up", [False, True], ids=["before sign-up", "after sign-up"])
async def test_a_test_phone_never_becomes_an_admin(
    database_url: str, tmp_path: Path, *, signed_up: bool
) -> None:
    """Reviewers know its code, so the command refuses it, and nothing else grants it."""
    tests = {"REFERRAL_TEST_PHONES": f"{TEST_PHONE}=12345678@2026-01-31"}
    async with running(database_url, inbox=Inbox(), **tests) as service:
        service.clock.move(
            seconds=(datetime(2026, 1, 15, tzinfo=UTC) - service.clock()).total_seconds()
        )
        sent = {**await service.send_code(TEST_PHONE), "code": "12345678"}
        if signed_up:
            ok(await service.verify(sent))
        granted = referral(tmp_path, "admin", "grant", TEST_PHONE, **on(database_url), **tests)
        if not signed_up:
            ok(await service.verify(sent))
        assert not await is_admin(TEST_PHONE)
    assert "test phone" in refusal(granted)


@pytest.mark.parametrize("signed_up", [False, True], ids=["before sign-up", "after sign-up"])
async def test_an_open_demo_has_no_admins(
    database_url: str, tmp_path: Path, *, signed_up: bool
) -> None:
    """Anybody can sign in as any phone there, so nothing grants the rights."""
    phone = new_phone()
    async with running(database_url, inbox=Inbox(), **OPEN_DEMO) as service:
        if signed_up:
            await service.sign_in(phone)
        settings = {**OPEN_DEMO, "DATABASE_URL": database_url}
        granted = referral(tmp_path, "admin", "grant", phone, **settings)
        if not signed_up:
            await service.sign_in(phone)
        assert not await is_admin(phone)
    assert "simulated" in refusal(granted)


def test_doctor_reports_data_keys_that_it_cannot_decrypt(fresh_url: str, tmp_path: Path) -> None:
    settings = on(fresh_url)
    with serving(tmp_path, **settings):
        pass
    good = referral(tmp_path, "doctor", **settings)
    assert (good.returncode, good.stderr) == (0, "")
    assert good.stdout.endswith("everything is in order\n")
    another = "another secret of the tests with 32 bytes or more 0123456789"
    lost = referral(tmp_path, "doctor", **{**settings, "REFERRAL_SECRET": another})
    assert "data keys: 1 of 1 cannot be decrypted" in refusal(lost)
    assert "everything is in order" not in lost.stdout
    listed = referral(tmp_path, "doctor", **{**settings, "REFERRAL_SECRET": f"{another},{SECRET}"})
    assert listed.stdout.endswith("everything is in order\n")
    for shown in (good, lost, listed):
        assert SECRET not in shown.stdout + shown.stderr
        assert another not in shown.stdout + shown.stderr


def test_doctor_names_the_gateways_but_no_secret(tmp_path: Path) -> None:
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    twilio = "twilio://AC0123456789abcdef0123456789abcdef:fedcba9876543210@+15005550007"
    url = f"hook+https://user:password@team.example/token?secret={secret}, {twilio}"
    settings = {**on(f"sqlite://{tmp_path}/db.sqlite3"), "REFERRAL_SMS_URL": url}
    assert referral(tmp_path, "migrate", **settings).returncode == 0
    shown = referral(tmp_path, "doctor", **settings)
    assert "hook+https to team.example, then twilio\n" in shown.stdout
    for part in (secret, "password", "/token", "AC0123", "fedcba", "5005550007"):
        assert part not in shown.stdout + shown.stderr


def test_an_sms_service_without_its_library_is_one_line(tmp_path: Path) -> None:
    """The line says how to install it."""
    (tmp_path / "apprise.py").write_text("raise ModuleNotFoundError")
    url = "twilio://AC0123456789abcdef0123456789abcdef:fedcba9876543210@+15005550007"
    settings = {**on(f"sqlite://{tmp_path}/db.sqlite3"), "REFERRAL_SMS_URL": url}
    paths = f"{tmp_path}:{ROOT / 'src'}"
    line = refusal(referral(tmp_path, "serve", **settings, PYTHONPATH=paths))
    assert "twilio:// needs the extra `sms`: run `pip install '.[sms]'`" in line
    assert "AC0123" not in line


def test_doctor_names_missing_migrations(fresh_url: str, tmp_path: Path) -> None:
    """Or that a SQLite database is missing, which it does not create."""
    line = refusal(referral(tmp_path, "doctor", **on(fresh_url)))
    assert "0001_tables" in line or "no database yet" in line
    assert "referral migrate" in line
    if fresh_url.startswith("sqlite://"):
        assert not Path(fresh_url.removeprefix("sqlite://")).exists()


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("sqlite://notes.txt", "not an SQLite database"),
        ("sqlite://no/such/folder/db", "cannot be opened"),
        ("postgres://app:wrong@127.0.0.1:1/app", "is it running there?"),
    ],
)
@pytest.mark.parametrize("command", ["migrate", "serve", "doctor"])
def test_an_unusable_database_is_one_line(
    command: str, url: str, message: str, tmp_path: Path
) -> None:
    (tmp_path / "notes.txt").write_text("no database, but a text of some length\n" * 100)
    line = refusal(referral(tmp_path, command, DATABASE_URL=url, REFERRAL_SECRET=SECRET))
    assert message in line or (command != "migrate" and "there is no database" in line)


def test_a_missing_database_is_one_line(postgres_url: str, tmp_path: Path) -> None:
    url = postgres_url.replace("/postgres?", "/nowhere?")
    line = refusal(referral(tmp_path, "migrate", DATABASE_URL=url, REFERRAL_SECRET=SECRET))
    assert "createdb" in line


@pytest.mark.parametrize("command", ["migrate", "serve"])
@pytest.mark.parametrize(
    "url",
    [
        f"postgres://anna:{PASSWORD}@127.0.0.1:1/db",
        f"postgres://anna@127.0.0.1:1/db?password={PASSWORD}",
        f"postgres://anna:{PASSWORD}@127.0.0.1:port/db",
        f"postgres://anna:/{PASSWORD}@127.0.0.1:1/db",
    ],
    ids=["before the host", "in the query", "invalid port", "unquoted slash"],
)
def test_an_unreachable_database_is_one_line_without_password(
    tmp_path: Path, command: str, url: str
) -> None:
    finished = referral(
        tmp_path, command, DATABASE_URL=url, REFERRAL_SECRET=SECRET, PORT=str(free_port())
    )
    assert PASSWORD not in finished.stdout + finished.stderr
    assert "database" in refusal(finished).lower()


@pytest.mark.xdist_group("postgres")
async def test_doctor_masks_the_password_of_the_database(postgres_url: str, tmp_path: Path) -> None:
    """Before the host and in the query; this server accepts any password."""
    url = await new_postgres_database(postgres_url)
    before_host = url.replace("postgres:@", f"postgres:{PASSWORD}@")
    assert before_host != url
    for each in (before_host, f"{url}&password={PASSWORD}"):
        assert referral(tmp_path, "migrate", DATABASE_URL=each).returncode == 0
        checked = referral(tmp_path, "doctor", **on(each))
        assert checked.stdout.endswith("everything is in order\n")
        assert PASSWORD not in checked.stdout + checked.stderr


@pytest.mark.parametrize("workers", ["1", "2"])
def test_serve_refuses_a_database_without_tables(tmp_path: Path, workers: str) -> None:
    settings = on(f"sqlite://{tmp_path}/referral.sqlite3")
    finished = referral(
        tmp_path, "serve", PORT=str(free_port()), WEB_CONCURRENCY=workers, **settings
    )
    assert "referral migrate" in refusal(finished)


@pytest.mark.parametrize("workers", ["1", "2"])
def test_serve_reports_that_its_port_is_taken(
    tmp_path: Path, taken_port: int, workers: str
) -> None:
    settings = on(f"sqlite://{tmp_path}/referral.sqlite3")
    assert referral(tmp_path, "migrate", **settings).returncode == 0
    finished = referral(
        tmp_path, "serve", PORT=str(taken_port), WEB_CONCURRENCY=workers, **settings
    )
    assert finished.returncode not in {0, None}
    assert "Traceback" not in finished.stderr
    assert "address already in use" in finished.stderr.lower()


def test_serve_prints_its_addresses(tmp_path: Path) -> None:
    """The printed addresses of pages and API docs respond."""
    database_url = f"sqlite://{tmp_path}/referral.sqlite3"
    with serving(tmp_path, **on(database_url)) as server:
        for address in (f"{server.url}/", f"{server.url}/docs"):
            assert httpx.get(address, follow_redirects=True).status_code == 200
    log = server.log.read_text()
    assert f"pages     {server.url}/\n" in log
    assert f"API docs  {server.url}/docs\n" in log
    assert f"database  {database_url}\n" in log


def on(database_url: str) -> dict[str, str]:
    """Return the settings that the commands share with the service of the tests."""
    return {"DATABASE_URL": database_url, "REFERRAL_SECRET": SECRET}


async def is_admin(phone: str) -> bool:
    """Ask the database. Works only while a service runs in this process."""
    user = await users.find_by_phone(phone)
    assert user is not None
    return user.is_admin
