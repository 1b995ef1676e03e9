"""The rows of a file while they are taken in: a private database in a file without a name.

SQLite makes it where temporary files go, for this connection alone, and the system deletes it with
the process, however that ends. A million users take about 200 MB of it, and a fixed share of
memory.
"""

from __future__ import annotations

import json
import sqlite3
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self
from uuid import UUID

from referral.import_export import user_row
from referral.import_export.forest import ELSEWHERE, NOBODY
from referral.import_export.user_row import UserRow
from referral.storage.database import Unusable

_AMBIGUOUS = -2
_BEGIN = """
PRAGMA journal_mode = OFF;
PRAGMA synchronous = OFF;
PRAGMA cache_size = -32768;  -- KiB
CREATE TABLE rows (
    n INTEGER PRIMARY KEY, line INTEGER, given TEXT, phone TEXT UNIQUE, name TEXT, email TEXT,
    code TEXT, code_key TEXT, inviter TEXT, inviter_key TEXT, created_at TEXT, user_id BLOB
);
CREATE TABLE keys (code_key TEXT PRIMARY KEY, uses INTEGER, n INTEGER) WITHOUT ROWID;
CREATE TABLE spellings (
    code_key TEXT, code TEXT, uses INTEGER, n INTEGER, PRIMARY KEY (code_key, code)
) WITHOUT ROWID;
BEGIN;
"""
_ADD = """
INSERT INTO rows (line, given, phone, name, email, code, code_key, inviter, inviter_key, created_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (phone) DO NOTHING
"""
# A code that several rows share is told by its very spelling, where one row alone spells it so
_CLOSE = """
INSERT INTO keys SELECT code_key, count(*), min(n) FROM rows WHERE code_key IS NOT NULL
    GROUP BY code_key;
INSERT INTO spellings SELECT code_key, rows.code, count(*), min(rows.n)
    FROM rows JOIN keys USING (code_key) WHERE keys.uses > 1 GROUP BY code_key, rows.code;
BEGIN;
"""
_INVITERS = """
SELECT rows.n, CASE
    WHEN keys.uses IS NULL THEN $elsewhere
    WHEN keys.uses = 1 THEN keys.n
    WHEN spellings.uses = 1 THEN spellings.n
    ELSE $ambiguous END
FROM rows LEFT JOIN keys ON keys.code_key = inviter_key
LEFT JOIN spellings ON spellings.code_key = inviter_key AND spellings.code = inviter
WHERE phone IS NOT NULL AND inviter IS NOT NULL ORDER BY rows.n
"""
_BY_NUMBER = """
SELECT rows.n, line, given, phone, name, email, code, rows.n = keys.n, inviter, created_at, user_id
FROM rows LEFT JOIN keys USING (code_key) WHERE rows.n IN (SELECT value FROM json_each(?))
"""


@dataclass(frozen=True, slots=True)
class StagedRow:
    """A row of the file. given: the phone as the file has it. The codes are as written.

    phone: empty where the row was refused. owns_code: whether no row before it has the code.
    user_id: None until there is a user.
    """

    n: int
    line: int
    given: str
    phone: str
    name: str | None
    email: str | None
    code: str | None
    owns_code: bool
    inviter: str | None
    created_at: datetime | None
    user_id: UUID | None


class Staging:
    """Rows are added, then closed; from then on they are numbered from 1 and looked at."""

    def __enter__(self) -> Self:
        self._file = sqlite3.connect("", isolation_level=None)
        self._file.executescript(_BEGIN)
        self.size = 0
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, _: object) -> None:
        self._file.close()
        # The other database's come as Tortoise's
        if kind is not None and issubclass(kind, sqlite3.Error):
            raise Unusable(
                f"the temporary one for the file's rows: {error}; TMPDIR names a folder with room"
            )

    def add(self, row: UserRow, *, line: int, given: str) -> int | None:
        """None, or where an earlier row has this phone, that row's line, and nothing done."""
        added = self._add(
            line,
            given,
            row.phone,
            row.name,
            row.email,
            row.invite_code,
            row.inviter_code,
            row.created_at.isoformat() if row.created_at else None,
        )
        if added:
            return None
        [earlier] = self._file.execute("SELECT line FROM rows WHERE phone = ?", [row.phone])
        return int(earlier[0])

    def add_refused(self, *, line: int, code: str) -> None:
        """Remember the code of a refused row, so that it is taken for nobody else's."""
        self._add(line, "", None, None, None, code, None, None)

    def close(self) -> None:
        """No row comes any more."""
        self._file.executescript(_CLOSE)

    def accepted(self) -> Iterator[int]:
        """The numbers of the rows that were not refused."""
        for (n,) in self._file.execute("SELECT n FROM rows WHERE phone IS NOT NULL ORDER BY n"):
            yield n

    def by_number(self, numbers: Iterable[int]) -> dict[int, StagedRow]:
        rows = self._file.execute(_BY_NUMBER, [json.dumps(list(numbers))])
        return {columns[0]: _row(*columns) for columns in rows}

    def set_users(self, users: Iterable[tuple[int, UUID]]) -> None:
        """The user of each row, by the row's number."""
        self._file.executemany(
            "UPDATE rows SET user_id = ? WHERE n = ?", [(user.bytes, n) for n, user in users]
        )

    def has_code(self, code: str) -> bool:
        """Whether a row has this canonical code, however it spells it."""
        found = self._file.execute("SELECT 1 FROM keys WHERE code_key = ?", [code]).fetchone()
        return found is not None

    def inviters(self) -> tuple[array[int], list[int]]:
        """For each row the number of the inviter's, as import_export/forest.py has it.

        And the numbers of those whose inviter_code is spelt like none of several that it may be.
        """
        inviters, ambiguous = array("i", [NOBODY]) * (self.size + 1), []
        values = {"elsewhere": ELSEWHERE, "ambiguous": _AMBIGUOUS}
        for n, inviter in self._file.execute(_INVITERS, values):
            if inviter == _AMBIGUOUS:
                ambiguous.append(n)
            else:
                inviters[n] = inviter
        return inviters, ambiguous

    def _add(
        self,
        line: int,
        given: str,
        phone: str | None,
        name: str | None,
        email: str | None,
        code: str | None,
        inviter: str | None,
        created_at: str | None,
    ) -> bool:
        values = [line, given, phone, name, email]
        for text in (code, inviter):
            values += [text, None if text is None else user_row.code_key(text)]
        added = bool(self._file.execute(_ADD, [*values, created_at]).rowcount)
        self.size += added
        return added


def _row(*columns: Any) -> StagedRow:
    n, line, given, phone, name, email, code, owns, inviter, created_at, user_id = columns
    return StagedRow(
        n=n,
        line=line,
        given=given,
        phone=phone or "",
        name=name,
        email=email,
        code=code,
        owns_code=bool(owns),
        inviter=inviter,
        created_at=datetime.fromisoformat(created_at) if created_at else None,
        user_id=UUID(bytes=user_id) if user_id else None,
    )
