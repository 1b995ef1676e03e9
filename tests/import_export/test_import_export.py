"""Importing and exporting users, and the demo."""

from __future__ import annotations

import asyncio
import csv
import io
import os
import pty
import random
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest

from locks import on_postgres, other_connection, wait_for_blocked
from processes import environment, new_postgres_database, referral, serving
from referral.core import phone as phones
from referral.core.phone import PhoneRules
from referral.import_export import demo, imports, store, user_file
from referral.import_export.run import ImportRun, Progress, ReportRow
from referral.import_export.user_file import Format
from referral.import_export.user_row import FIELDS
from referral.service import sign_ups
from referral.storage import database, places
from referral.storage.models import Activation, User
from support import SECRET, Person, Service, context_of, new_phone, ok, refused, running

PRODUCTION = {
    "REFERRAL_ENV": "production",
    "REFERRAL_SECRET": SECRET,
    "REFERRAL_SMS_URL": "simulated://?delay=0",
    "REFERRAL_PUBLIC_URL": "https://referral.example.com",
    "REFERRAL_TRUSTED_PROXIES": "0",
}
Row = dict[str, str]


@dataclass
class Imported:
    """An import that has ended, and the rows of its report."""

    run: ImportRun
    report: list[ReportRow]

    @property
    def lines_by_reason(self) -> dict[str, list[int]]:
        reasons = sorted({row.reason for row in self.report})
        return {
            reason: [row.line for row in self.report if row.reason == reason] for reason in reasons
        }


# Rows


async def test_rows_become_users_who_can_sign_in(service: Service) -> None:
    anna, bob = new_phone(), new_phone()
    imported = await import_rows(
        service,
        {"phone": bob, "inviter_code": "l87zwp", "created_at": "2025-02-01T10:30:00.000001+03:00"},
        {"phone": anna, "name": "Anna", "email": "a@EXAMPLE.com", "invite_code": "L87ZWP"},
    )
    assert (imported.run.added, imported.run.linked, imported.report) == (2, 1, [])
    person = await service.sign_in(anna)
    assert not person.is_new
    profile = await person.profile()
    assert (profile["name"], profile["email"]) == ("Anna", "a@example.com")
    assert (profile["invite_code"], profile["invitees"]) == ("187ZWP", [bob])
    assert profile["invitee_count"] == 1
    profile = await (await service.sign_in(bob)).profile()
    assert profile["activated_invite_code"] == "187ZWP"
    assert profile["created_at"] == "2025-02-01T07:30:00.000001Z"
    page = ok(await person.call("GET", "/profile/invitees"))
    assert page["items"] == [{"phone": bob, "activated_at": profile["created_at"]}]


async def test_codes_of_earlier_systems_keep_working(service: Service) -> None:
    await import_rows(service, {"phone": new_phone(), "invite_code": "0SOO6q"})
    person = await service.sign_in()
    ok(await person.activate("0soo6Q"))
    assert (await person.profile())["activated_invite_code"] == "0S006Q"


@pytest.mark.parametrize(
    ("texts", "reason"),
    [
        ({"phone": "8 999 123-45-67"}, "invalid_phone"),
        ({"phone": ""}, "invalid_phone"),
        ({"phone": "+1 900 555 0100"}, "unsupported_phone"),
        ({"name": "x" * 101}, "invalid_name"),
        ({"email": "anna"}, "invalid_email"),
        ({"created_at": "2199-01-01"}, "invalid_created_at"),
        ({"created_at": "yesterday"}, "invalid_created_at"),
    ],
)
async def test_a_refused_row_is_reported_and_others_are_imported(
    service: Service, texts: Row, reason: str
) -> None:
    good, bad = {"phone": new_phone()}, {"phone": new_phone(), **texts}
    imported = await import_rows(service, good, bad)
    assert (imported.run.added, imported.run.refused) == (1, 1)
    [row] = imported.report
    assert (row.line, row.phone, row.reason) == (3, bad["phone"], reason)
    assert row.detail


async def test_a_repeated_phone_is_imported_once(service: Service) -> None:
    phone = new_phone()
    again = f"{phone[:2]} {phone[2:]}"
    imported = await import_rows(service, {"phone": phone, "name": "Anna"}, {"phone": again})
    assert imported.lines_by_reason == {"repeated_phone": [3]}
    assert "Line 2" in imported.report[0].detail
    assert (await (await service.sign_in(phone)).profile())["name"] == "Anna"


async def test_an_existing_account_only_gets_a_missing_inviter(service: Service) -> None:
    person = await service.sign_in()
    before = await person.profile()
    row = {"phone": person.phone, "name": "X", "invite_code": "AAAAA1", "inviter_code": "AAAAA2"}
    inviter = {"phone": new_phone(), "invite_code": "AAAAA2"}
    imported = await import_rows(service, row, inviter)
    assert (imported.run.added, imported.run.existing, imported.run.linked) == (1, 1, 1)
    [change] = imported.report
    assert (change.reason, change.old_code) == ("invite_code_changed", "AAAAA1")
    assert change.new_code == before["invite_code"]
    assert await person.profile() == {**before, "activated_invite_code": "AAAAA2"}


# Codes that are changed


async def test_a_taken_or_malformed_code_is_replaced_and_reported(service: Service) -> None:
    person, leaver = await service.sign_in(), await service.sign_in()
    theirs, retired = await person.invite_code(), await leaver.invite_code()
    ok(await leaver.call("DELETE", "/profile"))
    codes = ["AAAAA1", "aaaaa1", theirs, retired, "ANNA-2024", "x"]
    rows: list[Row] = [{"phone": new_phone(), "invite_code": code} for code in codes]
    imported = await import_rows(service, *rows)
    assert (imported.run.added, imported.run.refused) == (6, 0)
    assert imported.lines_by_reason == {"invite_code_changed": [3, 4, 5, 6, 7]}
    assert [row.old_code for row in imported.report] == codes[1:]
    assert await codes_of(rows) == ["AAAAA1", *(each.new_code for each in imported.report)]
    assert len(set(await codes_of(rows))) == 6


async def test_an_inviter_code_finds_its_row_after_a_code_change(service: Service) -> None:
    """It means the row of the file, not the user who has that code, nor a similar code."""
    taken_code = await (await service.sign_in()).invite_code()
    codes = [taken_code, "ANNA-2024", "l87zwp", "L87ZWP"]
    inviters = [{"phone": new_phone(), "invite_code": code} for code in codes]
    invitees = [
        {"phone": new_phone(), "inviter_code": code}
        for code in (taken_code.lower(), "anna-2024", "l87zwp", "L87ZWP")
    ]
    imported = await import_rows(service, *invitees, *inviters)
    assert imported.lines_by_reason == {"invite_code_changed": [6, 7, 9]}
    assert await inviters_of(invitees) == [row["phone"] for row in inviters]


async def test_an_ambiguous_inviter_code_is_reported(service: Service) -> None:
    rows = [{"phone": new_phone(), "invite_code": code} for code in ("l87zwp", "L87ZWP")]
    invitee = {"phone": new_phone(), "inviter_code": "187zwp"}
    imported = await import_rows(service, *rows, invitee)
    assert imported.lines_by_reason["ambiguous_inviter_code"] == [4]
    assert await inviters_of([invitee]) == [None]


async def test_a_refused_rows_code_means_nobody_else(service: Service) -> None:
    """Not even the user in the database who has the code: the file means its own row."""
    theirs = await (await service.sign_in()).invite_code()
    row = {"phone": new_phone(), "email": "none", "invite_code": theirs}
    invitee = {"phone": new_phone(), "inviter_code": theirs}
    imported = await import_rows(service, row, invitee)
    assert imported.lines_by_reason == {"invalid_email": [2], "unknown_inviter_code": [3]}
    corrected = await import_rows(service, {**row, "email": ""}, invitee)
    assert (corrected.run.added, corrected.run.existing, corrected.run.linked) == (1, 1, 1)
    assert await inviters_of([invitee]) == [row["phone"]]


async def test_a_new_code_is_not_one_of_a_later_row(service: Service) -> None:
    """Here the random numbers produce that code first."""
    wanted = iter([10, 10, 10, 10, 10, 1, 10, 10, 10, 10, 10, 2])
    rows: list[Row] = [{"phone": new_phone()}, {"phone": new_phone(), "invite_code": "AAAAA1"}]
    imported = await import_rows(service, *rows, randbelow=lambda _: next(wanted), batch=1)
    assert imported.report == []
    assert await codes_of(rows) == ["AAAAA2", "AAAAA1"]


# Links


async def test_refused_links_are_reported_and_users_imported(service: Service) -> None:
    other, user, leaver = [await service.sign_in() for _ in range(3)]
    ok(await user.activate(await other.invite_code()))
    gone = await leaver.invite_code()
    ok(await leaver.call("DELETE", "/profile"))
    rows = [
        {"phone": new_phone(), "invite_code": "AAAAA1", "inviter_code": "AAAAA1"},
        {"phone": new_phone(), "inviter_code": "ZZZZZ9"},
        {"phone": new_phone(), "inviter_code": "no code"},
        {"phone": new_phone(), "inviter_code": gone},
        {"phone": user.phone, "inviter_code": "AAAAA1"},
        {"phone": other.phone, "inviter_code": await user.invite_code()},
    ]
    imported = await import_rows(service, *rows)
    assert imported.lines_by_reason == {
        "own_invite_code": [2],
        "unknown_inviter_code": [3, 4, 5],
        "invite_already_activated": [6],
        "invite_loop": [7],
    }
    assert (imported.run.added, imported.run.existing, imported.run.linked) == (4, 2, 0)
    await assert_consistent()


@pytest.mark.parametrize("seed", range(12))
async def test_links_do_not_depend_on_the_order_of_rows(service: Service, seed: int) -> None:
    """With loops, chains and stars, in one file or two, the trees are the same and have no loop."""
    chance = random.Random(seed)  # noqa: S311 - a failing seed must fail again
    size = 60
    rows: list[Row] = []
    for number in range(size):
        row = {"phone": new_phone(), "invite_code": f"AAAA{number // 10}{number % 10}"}
        if chance.random() < 0.9:
            nearby = max(0, number - chance.choice([1, 1, 3, size]))
            inviter = chance.randint(nearby, min(size - 1, number + chance.choice([0, 1, 5])))
            row["inviter_code"] = f"aaaa{inviter // 10}{inviter % 10}"
        rows.append(row)
    chance.shuffle(rows)
    cut = chance.choice([size, size // 2])
    found = [await import_rows(service, *file, batch=7) for file in (rows[:cut], rows[cut:], rows)]
    wanted = {row["invite_code"]: row["inviter_code"].upper() for row in rows if len(row) > 2}
    links = await exported_links()
    own = {code for code, inviter in wanted.items() if code == inviter}
    missing = {code for code in wanted if code not in links} - own
    assert {code: wanted[code] for code in links} == links
    assert len(found[-1].lines_by_reason.get("own_invite_code", [])) == len(own)
    assert len(found[-1].lines_by_reason.get("invite_loop", [])) == len(missing)
    for code in missing:
        assert code in chain(wanted[code], links), "only links that close a loop are left out"
    assert sum(each.run.linked for each in found) == len(links)
    assert (found[-1].run.linked, found[-1].run.already_linked) == (0, len(links)) or cut < size
    await assert_consistent()


async def test_a_long_chain_is_linked_in_time(service: Service) -> None:
    """Climbing the whole chain for each link would take quadratic time."""
    size = 6000
    users: list[Row] = [
        {"phone": new_phone(), "invite_code": code_of(number)} for number in range(size)
    ]
    await import_rows(service, *users)
    rows = [row | {"inviter_code": code_of(number - 1)} for number, row in enumerate(users)]
    started = time.monotonic()
    imported = await import_rows(service, *rows[1:])
    assert (imported.run.existing, imported.run.linked) == (size - 1, size - 1)
    assert time.monotonic() - started < 60
    closing = await import_rows(service, users[0] | {"inviter_code": code_of(size - 1)})
    assert closing.lines_by_reason == {"invite_loop": [2]}


# Beside a running service, and after a crash


@pytest.mark.usefixtures("no_deadlocks")
async def test_an_import_and_concurrent_activations_make_no_loop(service: Service) -> None:
    """In each pair one invites the other by the file, and the other way round by activation."""
    people = [await service.sign_in() for _ in range(30)]
    codes = [await person.invite_code() for person in people]
    partners: list[Row] = [
        {"phone": new_phone(), "invite_code": code_of(number)} for number in range(len(people))
    ]
    await import_rows(service, *partners)
    links: list[Row] = [
        {**row, "inviter_code": code} for row, code in zip(partners, codes, strict=True)
    ]
    pairs = list(zip(people, partners, strict=True))
    activations: list[asyncio.Task[httpx.Response]] = []

    def activate_next_pairs(phase: str, done: int, total: int | None) -> None:
        first = done if phase == "invitations" else 0
        if phase == "invitations" or (phase, done) == ("users", total):
            activations.extend(
                asyncio.create_task(person.activate(row["invite_code"]))
                for person, row in pairs[first : first + 2]
            )

    imported = await import_rows(service, *links, batch=2, progress=activate_next_pairs)
    answers = await asyncio.gather(*activations)
    assert len(answers) == len(people)
    activated = 0
    for answer in answers:
        if answer.is_success:
            activated += 1
        else:
            refused(answer, 409, "invite_loop")
    assert len(imported.lines_by_reason.get("invite_loop", [])) == activated
    assert imported.run.linked + activated == len(people)
    await assert_consistent()


@pytest.mark.usefixtures("no_deadlocks")
@on_postgres
async def test_an_import_locks_users_in_the_order_of_activations(
    database_url: str, service: Service
) -> None:
    """Otherwise each of them may have locked a user for whom the other waits."""
    first, second = sorted([UUID((await service.sign_in()).id()) for _ in range(2)])
    async with other_connection(database_url) as other, other.transaction():
        await other.execute("SELECT FROM users WHERE id = $1 FOR UPDATE", first)
        importing = asyncio.create_task(
            database.transaction(lambda: store.lock(changed={second}, kept={first}))
        )
        await wait_for_blocked(other)
        await other.execute("SELECT FROM users WHERE id = $1 FOR KEY SHARE", second)
    assert (await importing).keys() == {first, second}


async def test_an_import_and_sign_ups_make_one_user_a_phone(service: Service) -> None:
    rows: list[Row] = [{"phone": new_phone(), "name": "Anna"} for _ in range(40)]
    sent = [await service.send_code(row["phone"]) for row in rows]
    imported, answers = await asyncio.gather(
        import_rows(service, *rows), asyncio.gather(*(service.verify(each) for each in sent))
    )
    made = [answer.status_code for answer in answers].count(201)
    assert {answer.status_code for answer in answers} <= {200, 201}
    assert (imported.run.added, imported.run.existing) == (40 - made, made)
    await assert_consistent()


async def test_an_import_beside_a_running_service_disturbs_nobody(
    database_url: str, tmp_path: Path
) -> None:
    """People sign up and activate codes of the file meanwhile."""
    rows = [
        {"phone": f"+7998{number:07}", "invite_code": code_of(number)} for number in range(6000)
    ]
    for number, row in enumerate(rows[1:], 1):
        row["inviter_code"] = code_of(number // 2)
    file = tmp_path / "users.csv"
    file.write_text(as_csv(rows))
    # Codes that are not imported yet count as failed tries
    settings = on(database_url) | {"REFERRAL_INVITE_FAILURES_PER_ADDRESS_HOUR": "1000000"}
    signed_up = activated = 0
    with serving(tmp_path, **settings, WEB_CONCURRENCY="2") as server:
        importing = start_import(file, settings)
        async with httpx.AsyncClient(base_url=server.url, timeout=30) as http:
            while importing.poll() is None:
                sent = await http.post("/api/v1/auth/send-code", json={"phone": new_phone()})
                body = {"token": ok(sent)["token"], "code": ok(sent)["code"]}
                verified = await http.post("/api/v1/auth/verify", json=body)
                assert verified.status_code == 201, verified.text
                signed_up += 1
                person = Person(http, "", ok(verified), is_new=True)
                answer = await person.activate(code_of(activated))
                assert answer.status_code in {200, 404}, answer.text
                activated += answer.status_code == 200
    assert signed_up
    assert importing.wait() == 0, file.with_suffix(".log").read_text()
    await database.connect(database_url)
    try:
        await assert_consistent()
        counted = await database.query("SELECT sum(invitee_count) AS links FROM users")
    finally:
        await database.disconnect()
    assert counted == [{"links": len(rows) - 1 + activated}]


@pytest.mark.parametrize("phase", ["users", "invitations"])
async def test_a_killed_import_continues_when_run_again(
    database_url: str, tmp_path: Path, phase: str
) -> None:
    size = 12_000
    # Each code has two rows, in two spellings. The inviter of each row is the row of half its
    # number
    codes = [code_of(number // 2) for number in range(size)]
    codes[1::2] = [code.lower() for code in codes[1::2]]
    users: list[Row] = [
        {"phone": f"+7998{number:07}", "invite_code": code} for number, code in enumerate(codes)
    ]
    rows = [row | {"inviter_code": codes[number // 2]} for number, row in enumerate(users)]
    rows[0] = users[0]
    settings = on(database_url)
    if phase == "invitations":
        (tmp_path / "before.csv").write_text(as_csv(users))
        assert referral(tmp_path, "users", "import", "before.csv", **settings).returncode == 0
    file = tmp_path / "users.csv"
    file.write_text(as_csv(rows))
    watched_links = "SELECT count(*) AS done FROM users WHERE inviter_id IS NOT NULL"
    watched = {"users": "SELECT count(*) AS done FROM users", "invitations": watched_links}[phase]
    await database.connect(database_url)
    try:
        importing = start_import(file, settings)
        deadline = time.monotonic() + 50
        while not (done := (await database.query(watched))[0]["done"]):
            assert importing.poll() is None, file.with_suffix(".log").read_text()
            assert time.monotonic() < deadline
            await asyncio.sleep(0.01)
        importing.send_signal(signal.SIGKILL)
        importing.wait()
        done = (await database.query(watched))[0]["done"]
        assert 0 < done < size - 1, "killed in the middle"
        again = referral(tmp_path, "users", "import", "users.csv", **settings)
        existing = done if phase == "users" else size
        assert f"{size - existing:,} added, {existing:,} existing, 0 refused" in again.stdout
        assert f"codes        {size // 2:,} changed" in again.stdout
        linked = await database.query(watched_links)
        assert linked == [{"done": size - 1}]
        await assert_consistent()
    finally:
        await database.disconnect()
    report = read_report(tmp_path / "users.csv.report.csv")
    # The second run reports again what the first one reported
    assert {row["reason"] for row in report} == {"invite_code_changed"}
    assert len(report) == size // 2


# The command


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_the_commands_import_and_export_files(database_url: str, tmp_path: Path, form: str) -> None:
    settings = on(database_url)
    row = dict.fromkeys(FIELDS, "")
    row |= {"phone": "+79980000001", "name": "=1+1", "email": "a@b.example"}
    rows = [row | {"invite_code": "7KQ2MX", "created_at": "2025-01-31T00:00:00Z"}]
    (tmp_path / f"users.{form}").write_text(written(rows, form))
    imported = referral(tmp_path, "users", "import", f"users.{form}", **settings)
    assert (imported.returncode, imported.stderr) == (0, "")
    assert "1 added, 0 existing, 0 refused" in imported.stdout
    assert not (tmp_path / f"users.{form}.report.csv").exists()
    done = referral(tmp_path, "users", "export", f"out.{form}", **settings)
    assert (done.returncode, done.stdout, done.stderr) == (0, "1 users\n", "")
    assert (tmp_path / f"out.{form}").read_bytes().decode() == written(rows, form)
    assert (tmp_path / f"out.{form}").stat().st_mode & 0o777 == 0o600


def test_the_commands_use_standard_input_and_output(database_url: str, tmp_path: Path) -> None:
    env = environment(tmp_path, **on(database_url))
    command = [sys.executable, "-m", "referral", "users"]
    piped = subprocess.run(
        [*command, "import", "-", "--format", "jsonl", "--report", "report.csv"],
        input=b'{"phone": "+79980000001"}\n{"phone": "1"}\n',
        cwd=tmp_path,
        env=env,
        capture_output=True,
        check=False,
    )
    assert piped.returncode == 1
    assert b"report.csv" in piped.stderr
    assert [row["phone"] for row in read_report(tmp_path / "report.csv")] == ["1"]
    out = referral(tmp_path, "users", "export", "-", "--format", "csv", **on(database_url))
    assert out.stdout.splitlines()[1].startswith("+79980000001,,,")
    assert out.stderr == "1 users\n"


def test_the_report_is_readable_by_its_owner_only(database_url: str, tmp_path: Path) -> None:
    (tmp_path / "users.csv").write_text(
        "phone,invite_code,inviter_code\n+79980000001,an odd one,\nnobody,,\n+79980000002,,AAAAA1\n"
    )
    report = tmp_path / "users.csv.report.csv"
    report.touch(mode=0o644)
    imported = referral(tmp_path, "users", "import", "users.csv", **on(database_url))
    assert imported.returncode == 1
    [line] = imported.stderr.splitlines()
    assert line.startswith("referral: not everything was imported: users.csv.report.csv")
    assert report.stat().st_mode & 0o777 == 0o600
    rows = read_report(report)
    assert [(row["line"], row["phone"], row["reason"]) for row in rows] == [
        ("3", "nobody", "invalid_phone"),
        ("2", "+79980000001", "invite_code_changed"),
        ("4", "+79980000002", "unknown_inviter_code"),
    ]
    assert rows[1]["old_code"] == "an odd one"
    # With the bad row removed and the codes corrected, nothing is left to report
    (tmp_path / "users.csv").write_text("phone,invite_code\n+79980000002,\n")
    again = referral(tmp_path, "users", "import", "users.csv", **on(database_url))
    assert (again.returncode, again.stderr) == (0, "")
    assert not report.exists()


def test_changed_codes_are_reported_with_status_0(database_url: str, tmp_path: Path) -> None:
    (tmp_path / "users.csv").write_text("phone,invite_code\n+79980000001,an odd one\n")
    imported = referral(tmp_path, "users", "import", "users.csv", **on(database_url))
    assert (imported.returncode, imported.stderr) == (0, "")
    assert "users.csv.report.csv lists the old and the new codes" in imported.stdout


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("users.csv", b"", "empty"),
        ("users.csv", b"name\nAnna\n", "no column phone"),
        ("users.csv", b"phone,surname\n+79980000001,A\n", "surname"),
        ("users.csv", b"phone,name\n+79980000001,A\n+79980000002,J\xf6rg\n", "line 3 is not UTF-8"),
        ("users.jsonl", b'{"phone": "+79980000001"}\n{"surname": "A"}\n', "surname"),
        ("users.txt", b"phone\n+79980000001\n", "--format"),
    ],
)
async def test_an_unreadable_file_changes_nothing(
    database_url: str, tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    (tmp_path / name).write_bytes(content)
    imported = referral(tmp_path, "users", "import", name, **on(database_url))
    assert imported.returncode == 1
    [line] = imported.stderr.splitlines()
    assert line.startswith(f"referral: {name}: ")
    assert message in line
    out = referral(tmp_path, "users", "export", "out.csv", **on(database_url))
    assert out.stdout == "0 users\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ("import", "none.csv"),
        ("import", "folder", "--format", "csv"),
        ("import", "users.csv", "--report", "none/report.csv"),
        ("export", "none/users.csv"),
        ("export", "folder", "--format", "csv"),
    ],
)
def test_a_file_that_cannot_be_opened_is_one_line(
    migrated_sqlite: str, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "users.csv").write_text("phone\n")
    refused_ = referral(tmp_path, "users", *arguments, **on(migrated_sqlite))
    assert refused_.returncode == 1
    [line] = refused_.stderr.splitlines()
    assert arguments[1] in line or "report.csv" in line
    assert "database" not in line


def test_a_progress_bar_shows_on_a_terminal(migrated_sqlite: str, tmp_path: Path) -> None:
    (tmp_path / "users.csv").write_text("phone\n+79980000001\n")
    terminal, end = pty.openpty()
    env = environment(tmp_path, TERM="xterm", **on(migrated_sqlite))
    with subprocess.Popen(
        [sys.executable, "-m", "referral", "users", "import", "users.csv"],
        cwd=tmp_path,
        env=env,
        stdout=subprocess.PIPE,
        stderr=end,
    ) as process:
        out, _ = process.communicate(timeout=60)
    os.close(end)
    shown = os.read(terminal, 65_536).decode()
    os.close(terminal)
    assert "rows" in shown
    assert "100%" in shown
    assert out.startswith(b"users        1 added")


# Round trips


async def test_an_export_can_be_imported_into_the_other_database(
    database_url: str, database_kind: str, tmp_path: Path, postgres_url: str
) -> None:
    """And back again. Deleted users are not exported."""
    async with running(database_url) as service:
        await import_rows(
            service,
            *(
                {"phone": new_phone(), "name": name, "invite_code": code_of(number)}
                for number, name in enumerate(("=1+1", "+1", "-1", "@a", 'a "b", c', "Ø"))
            ),
        )
        people = [await service.sign_in() for _ in range(5)]
        for invitee, inviter in zip(people[1:], people, strict=False):
            ok(await invitee.activate(await inviter.invite_code()))
        leaver = await service.sign_in()
        ok(await leaver.activate(await people[0].invite_code()))
        ok(await leaver.call("DELETE", "/profile"))
        before = await everything()
        assert len(before) == 11
    sqlite = f"sqlite://{tmp_path}/other.sqlite3"
    other = await new_postgres_database(postgres_url) if database_kind == "sqlite" else sqlite
    urls = [database_url, other, f"sqlite://{tmp_path}/back.sqlite3"]
    for number, (source, target) in enumerate(pairwise(urls)):
        file = ("a.csv", "b.jsonl")[number]
        for arguments, url in (
            (("users", "export", file), source),
            (("migrate",), target),
            (("users", "import", file), target),
        ):
            done = referral(tmp_path, *arguments, **on(url))
            assert (done.returncode, done.stderr) == (0, "")
        await database.connect(target)
        try:
            assert await everything() == before
            await assert_consistent()
        finally:
            await database.disconnect()


async def test_users_of_several_pages_are_exported_once(service: Service) -> None:
    """Although many signed up at the same time."""
    rows: list[Row] = [
        {"phone": new_phone(), "created_at": f"2025-01-0{1 + number % 2}"} for number in range(57)
    ]
    await import_rows(service, *rows)
    assert sorted(row["phone"] for row in await exported(batch=10)) == sorted(
        row["phone"] for row in rows
    )


# Grants


@pytest.mark.parametrize(
    ("settings", "becomes"),
    [({}, True), ({"REFERRAL_TEST_PHONES": "+79980000001=12345678@2026-01-31"}, False)],
    ids=["any phone", "a test phone"],
)
async def test_a_pending_grant_applies_to_an_imported_user(
    database_url: str, tmp_path: Path, settings: dict[str, str], *, becomes: bool
) -> None:
    phone = "+79980000001"
    assert referral(tmp_path, "admin", "grant", phone, **on(database_url)).returncode == 0
    async with running(database_url) as service:
        run = new_import(service, test_phones=[phone] if settings else [])
        await imports.import_users(lines([{"phone": phone}, {"phone": new_phone()}]), run)
        rows = await database.query("SELECT phone FROM users WHERE is_admin")
        assert [row["phone"] for row in rows] == ([phone] if becomes else [])
        entries = await database.query("SELECT actor, action FROM audit_entries")
        expected = {"actor": "command", "action": "admin_granted"}
        assert list(map(dict, entries)) == ([expected] if becomes else [])


# The demo


async def test_an_import_needs_no_invitation_or_place(database_url: str) -> None:
    """It takes places, though: of the inviter nobody else is admitted then."""
    async with running(
        database_url, REFERRAL_SIGN_UP="closed", REFERRAL_INVITES_PER_USER="1"
    ) as service:
        phones = [new_phone() for _ in range(3)]
        await database.query("INSERT INTO sign_up_grants (phone) VALUES ($1)", phones[0])
        inviter = {"phone": phones[0], "invite_code": "7KQ2MX"}
        first = {"phone": phones[1], "inviter_code": "7KQ2MX"}
        assert (await import_rows(service, inviter, first)).report == []
        await sign_ups.grant(context_of(service), phone := new_phone())
        person = await service.sign_in(phone)
        refused(await person.activate("7KQ2MX"), 409, "invites_used_up")
        assert (
            await import_rows(service, {"phone": phones[2], "inviter_code": "7KQ2MX"})
        ).report == []
        assert await places.taken((await User.get(phone=phones[0])).id) == 2
        assert await database.query("SELECT phone FROM sign_up_grants") == []


async def test_an_imported_link_is_an_activation_of_the_import(service: Service) -> None:
    """Whenever the user signed up; for a new user and for one who exists already."""
    inviter, other = await service.sign_in(), await service.sign_in()
    code, phone = await inviter.invite_code(), new_phone()
    new = {"phone": phone, "inviter_code": code, "created_at": "2020-01-31"}
    await import_rows(service, new, {"phone": other.phone, "inviter_code": code})
    await import_rows(service, new)
    activations = await Activation.all()
    users = {str(user.id): user for user in await User.filter(phone__in=[phone, other.phone])}
    assert {str(each.user_id) for each in activations} == users.keys()
    for each in activations:
        assert str(each.inviter_id) == inviter.id()
        assert each.made_at > service.clock() - timedelta(minutes=1)
        assert each.voided_at is None
        assert not each.is_repeat
    assert len(activations) == 2


def test_a_demo_is_the_same_for_the_same_seed(database_url: str, tmp_path: Path) -> None:
    shown: list[list[Row]] = []
    for seed in ("1", "1", "2"):
        url = f"sqlite://{tmp_path}/{len(shown)}.sqlite3" if shown else database_url
        assert referral(tmp_path, "migrate", **on(url)).returncode == 0
        done = referral(tmp_path, "demo", "--users", "3000", "--seed", seed, **on(url))
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.startswith("users        3,000 added, 0 existing, 0 refused\n")
        out = referral(tmp_path, "users", "export", "-", "--format", "csv", **on(url)).stdout
        rows = list(csv.DictReader(io.StringIO(out)))
        # Sign-ups are counted back from now
        shown.append([{**row, "created_at": ""} for row in rows])
        days = {row["created_at"][:10] for row in rows}
        assert len(days) > 100
    assert shown[0] == shown[1] != shown[2]


async def test_a_demo_has_exact_counts_and_a_few_big_inviters(service: Service) -> None:
    run = new_import(service)
    await demo.fill(3000, seed=1, add=False, production=False, run=run)
    await assert_consistent()
    counts = sorted(
        row["invitee_count"] for row in await database.query("SELECT invitee_count FROM users")
    )
    assert 1800 < sum(counts) < 2400
    assert counts[len(counts) // 2] <= 1
    assert counts[-1] > 50
    person = await service.sign_in(demo.phone(0))
    assert not person.is_new


def test_a_demo_is_refused_in_production_and_beside_users(
    database_url: str, tmp_path: Path
) -> None:
    production = {**PRODUCTION, "DATABASE_URL": database_url}
    refused_ = referral(tmp_path, "demo", "--users", "10", **production)
    assert refused_.returncode == 1
    assert "production" in refused_.stderr
    for options, done in ((), True), ((), False), (("--add", "--seed", "2"), True):
        ran = referral(tmp_path, "demo", "--users", "10", *options, **on(database_url))
        assert (ran.returncode == 0) == done
        if done:
            assert "10 added, 0 existing, 0 refused" in ran.stdout
        else:
            assert "--add" in ran.stderr


@pytest.mark.parametrize(
    "number", [0, 1, demo.PHONES_PER_AREA - 1, demo.PHONES_PER_AREA, demo.MAX_USERS - 1]
)
def test_a_demo_phone_is_possible_but_not_assigned(number: int) -> None:
    """Its area code has a 9 in the middle, and its exchange code begins with 0 or 1."""
    phone = demo.phone(number)
    assert phones.parse(phone, PhoneRules()) == phone
    assert (phone[:2], phone[3]) == ("+1", "9")
    assert phone[5] in "01"
    assert len(phone) == 12
    later = demo.phone(min(number + 1, demo.MAX_USERS - 1))
    assert later >= phone


# Helpers


@pytest.fixture
def migrated_sqlite(tmp_path: Path) -> str:
    url = f"sqlite://{tmp_path}/referral.sqlite3"
    assert referral(tmp_path, "migrate", **on(url)).returncode == 0
    return url


def on(database_url: str) -> dict[str, str]:
    return {"DATABASE_URL": database_url, "REFERRAL_SECRET": SECRET}


def start_import(file: Path, settings: dict[str, str]) -> subprocess.Popen[bytes]:
    with file.with_suffix(".log").open("wb") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "referral", "users", "import", file.name],
            cwd=file.parent,
            env=environment(file.parent, **settings),
            stdout=log,
            stderr=log,
        )


async def import_rows(
    service: Service,
    *rows: Row,
    randbelow: Callable[[int], int] = secrets.randbelow,
    batch: int = 1000,
    progress: Progress = lambda *_: None,
) -> Imported:
    """Import a file of these rows, the first on line 2."""
    report: list[ReportRow] = []
    run = new_import(service, report=report, randbelow=randbelow)
    run.batch, run.progress = batch, progress
    await imports.import_users(lines(rows), run)
    return Imported(run, report)


def lines(rows: Iterable[Row]) -> Iterable[user_file.Line]:
    return user_file.parse(io.BytesIO(as_csv(rows).encode()), Format.CSV)


def new_import(
    service: Service,
    *,
    report: list[ReportRow] | None = None,
    randbelow: Callable[[int], int] = secrets.randbelow,
    test_phones: Iterable[str] = (),
) -> ImportRun:
    return ImportRun(
        rules=PhoneRules(),
        test_phones=list(test_phones),
        admins_allowed=True,
        now=service.clock(),
        randbelow=randbelow,
        token_bytes=secrets.token_bytes,
        report=(report if report is not None else []).append,
        progress=lambda *_: None,
    )


def as_csv(rows: Iterable[Row]) -> str:
    whole = [dict.fromkeys(FIELDS, "") | row for row in rows]
    return user_file.format_rows(whole, Format.CSV, header=True)


def written(rows: Iterable[Row], form: str) -> str:
    """Return the rows as an export writes them, with null for empty texts in JSON Lines."""
    kind = Format(form)
    whole = [
        {field: text or (None if kind is Format.JSONL else "") for field, text in row.items()}
        for row in rows
    ]
    return user_file.format_rows(whole, kind, header=True)


def read_report(path: Path) -> list[Row]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def code_of(number: int) -> str:
    """Return a code for a number. Random codes are unlikely to be one of these."""
    digits = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
    return "AA" + "".join(digits[number >> shift & 31] for shift in (15, 10, 5, 0))


async def exported(batch: int = 1000) -> list[Row]:
    text = io.StringIO()
    await imports.export_users(text.write, Format.CSV, lambda *_: None, batch=batch)
    return list(csv.DictReader(io.StringIO(text.getvalue())))


async def codes_of(rows: Iterable[Row]) -> list[str]:
    """Return the invite codes of the users of these rows."""
    codes = {row["phone"]: row["invite_code"] for row in await exported()}
    return [codes[row["phone"]] for row in rows]


async def inviters_of(rows: Iterable[Row]) -> list[str | None]:
    """Return the phones of the inviters of the users of these rows."""
    users = await exported()
    phone_of = {row["invite_code"]: row["phone"] for row in users}
    inviter_of = {row["phone"]: phone_of.get(row["inviter_code"]) for row in users}
    return [inviter_of[row["phone"]] for row in rows]


async def exported_links() -> dict[str, str]:
    """Return the inviters' codes by the invitees' codes."""
    users = await exported()
    return {row["invite_code"]: row["inviter_code"] for row in users if row["inviter_code"]}


def chain(code: str, links: dict[str, str]) -> list[str]:
    """Return the codes from a user up to the root."""
    climbed = [code]
    while climbed[-1] in links:
        climbed.append(links[climbed[-1]])
        assert len(climbed) <= len(links) + 1, "a loop"
    return climbed


async def everything() -> list[dict[str, Any]]:
    """Return the exported rows with the number of invitees of each."""
    counts = {
        row["phone"]: row["invitee_count"]
        for row in await database.query("SELECT phone, invitee_count FROM users")
    }
    rows = [{**row, "count": counts[row["phone"]]} for row in await exported()]
    return sorted(rows, key=lambda row: row["phone"])


async def assert_consistent() -> None:
    """Assert that there is no loop and that every count of invitees is exact."""
    users = await database.query(
        "SELECT id, inviter_id, invitee_count, activated_at, deleted_at FROM users"
    )
    above = {row["id"]: row["inviter_id"] for row in users}
    rooted: set[Any] = set()
    for user in above:
        climbed: list[Any] = []
        at = user
        while at is not None and at not in rooted:
            assert at not in climbed[-1:], "own inviter"
            climbed.append(at)
            assert len(climbed) <= len(above), "a loop"
            at = above[at]
        rooted.update(climbed)
    counts = dict.fromkeys(above, 0)
    for row in users:
        if row["inviter_id"] is not None and row["deleted_at"] is None:
            counts[row["inviter_id"]] += 1
        assert (row["inviter_id"] is None) == (row["activated_at"] is None)
    assert {row["id"]: row["invitee_count"] for row in users} == counts
