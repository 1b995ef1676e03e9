"""An upgrade to a new version while processes of the old one serve."""

from __future__ import annotations

import asyncio
import shutil
from contextlib import ExitStack
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import httpx
import pytest
from tortoise.migrations import operations

from background_sign_ins import background_sign_ins
from processes import ROOT, new_database, referral, serving
from referral.storage import migrations
from support import SECRET, Clock, Inbox, Person, Service, new_phone, ok

SETTINGS = {
    "REFERRAL_SECRET": SECRET,
    "REFERRAL_PUBLIC_URL": "https://referral.example.com",
    "REFERRAL_SENDS_PER_ADDRESS_HOUR": "100000",
}
# Operations that may remove something, with the release that no longer reads or writes it, for
# example "0009_no_nickname: RemoveField" with "1.4 does not use it"
REMOVALS: dict[str, str] = {}


def test_migrations_only_add() -> None:
    """From 0001_tables on, what the version before reads and writes stays, because its processes
    serve beside those of the new version until all are replaced.
    """
    removals = {each for each in map(_removal, _operations()) if each is not None}
    different = removals ^ REMOVALS.keys()
    assert not different, (
        "give new fields null=True or db_default. If a release no longer uses what is removed, "
        f"add to REMOVALS here, with that release: {different}"
    )


def _operations() -> list[tuple[str, operations.Operation]]:
    names = sorted(file.stem for file in Path(migrations.__path__[0]).glob("0*.py"))
    assert names
    return [
        (name, operation)
        for name in names
        for operation in import_module(f"{migrations.__name__}.{name}").Migration.operations
    ]


def _removal(step: tuple[str, operations.Operation]) -> str | None:
    """Return a name for an operation that does not only add."""
    name, operation = step
    if isinstance(operation, operations.CreateModel | operations.AddIndex):
        return None
    if isinstance(operation, operations.AddField):
        # The version before inserts rows without it
        field: Any = operation.field
        if field.null or field.has_db_default():
            return None
    return f"{name}: {type(operation).__name__}"


@pytest.fixture
async def url(database_kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> str:
    """A database of this test, which it upgrades to a version that does not exist yet."""
    return await new_database(database_kind, tmp_path, request)


@pytest.fixture
def newer(tmp_path: Path) -> Path:
    """The source of a next version, with one more table and one more column of users."""
    source = tmp_path / "newer"
    shutil.copytree(ROOT / "src", source, ignore=shutil.ignore_patterns("__pycache__"))
    models = source / "referral" / "storage" / "models.py"
    column = "    invite_code = fields.CharField("
    assert column in models.read_text()
    models.write_text(
        models.read_text().replace(
            column, f"    of_next_release = fields.CharField(max_length=50, null=True)\n{column}", 1
        )
    )
    folder = source / "referral" / "storage" / "migrations"
    latest = max(file.stem for file in folder.glob("0*.py"))
    (folder / "9999_newer.py").write_text(_NEWER.format(latest=latest))
    return source


_NEWER = """\
from tortoise import fields, migrations
from tortoise.migrations import operations as ops

class Migration(migrations.Migration):
    dependencies = [("referral", "{latest}")]
    operations = [
        ops.AddField("User", "of_next_release", fields.CharField(max_length=50, null=True)),
        ops.CreateModel(
            name="Pet",
            fields=[("name", fields.CharField(primary_key=True, max_length=50))],
            options={{"table": "pets", "app": "referral", "pk_attr": "name"}},
            bases=["Model"],
        ),
    ]
"""


async def test_old_and_new_processes_serve_together(url: str, newer: Path, tmp_path: Path) -> None:
    """They do during the migration and after it, and each reads what the other writes. A process of
    the old version also starts after the migration.
    """
    old_settings = {**SETTINGS, "DATABASE_URL": url}
    new_settings = {**old_settings, "PYTHONPATH": str(newer)}
    with ExitStack() as stack:
        old_server = stack.enter_context(serving(tmp_path, **old_settings))
        connect = partial(httpx.AsyncClient, base_url=old_server.url, timeout=30)
        async with background_sign_ins(connect) as sign_ins:
            await sign_ins.wait_for_more()
            migrated = await asyncio.to_thread(referral, tmp_path, "migrate", **new_settings)
            assert migrated.stdout == "applied 9999_newer\n", migrated.stderr
            await sign_ins.wait_for_more()
            new_server = await asyncio.to_thread(
                stack.enter_context, serving(tmp_path, **new_settings)
            )
            new = partial(httpx.AsyncClient, base_url=new_server.url, timeout=30)
            async with connect() as old_http, new() as new_http:
                await cross(old_http, new_http)
                await cross(new_http, old_http)
            await sign_ins.wait_for_more()
        assert sign_ins.failures == []
    # A rollback: the old version starts on the newer database
    with serving(tmp_path, **old_settings) as again:
        async with httpx.AsyncClient(base_url=again.url, timeout=30) as http:
            await Service(http, Clock(), Inbox()).sign_in()


async def cross(one: httpx.AsyncClient, other: httpx.AsyncClient) -> None:
    """Do the steps of two users alternately at the two versions."""
    here, there = (Service(http, Clock(), Inbox()) for http in (one, other))
    inviter = await here.sign_in()
    sent = await here.send_code(new_phone())
    response = ok(await there.verify(sent))
    person = Person(one, response["profile"]["phone"], response, is_new=True)
    ok(await person.activate(await inviter.invite_code()))
    for http in (other, one, other):
        person.http = http
        person.tokens |= ok(await person.refresh())
    inviter.http = other
    assert (await inviter.profile())["invitees"] == [person.phone]
    ok(await person.call("DELETE", "/profile"))
    assert (await inviter.profile())["invitees"] == []
