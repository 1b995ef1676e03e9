"""The rows of a file during an import: a private SQLite database in an unnamed temporary file.

SQLite creates the file in the folder of temporary files, for this connection only, and the system
deletes it when the process ends, even if it is killed. A million users take about 200 MB of disk,
and a fixed amount of memory.
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
from referral.import_export.forest import EXTERNAL, NO_INVITER
from referral.import_export.user_row import UserRow
from referral.storage.database import SetupError

_AMBIGUOUS = -2
# A script first commits, so each one ends with the begin of the next transaction
_CREATE = """
PRAGMA journal_mode = OFF;
PRAGMA synchronous = OFF;
PRAGMA cache_size = -32768;  -- KiB
CREATE TABLE rows (
    number INTEGER PRIMARY KEY, line INTEGER, raw_phone TEXT, phone TEXT UNIQUE, name TEXT,
    email TEXT, invite_code TEXT, code_key TEXT, inviter_code TEXT, inviter_key TEXT,
    created_at TEXT, user_id BLOB
);
CREATE TABLE keys (code_key TEXT PRIMARY KEY, uses INTEGER, number INTEGER) WITHOUT ROWID;
CREATE TABLE spellings (
    code_key TEXT, invite_code TEXT, uses INTEGER, number INTEGER,
    PRIMARY KEY (code_key, invite_code)
) WITHOUT ROWID;
BEGIN;
"""
_ADD = """
INSERT INTO rows (
    line, raw_phone, phone, name, email, invite_code, code_key, inviter_code, inviter_key,
    created_at
) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (phone) DO NOTHING
"""
# If the codes of several rows have the same key, an inviter_code means the row that spells it
# likewise, if there is exactly one
_INDEX_CODES = """
INSERT INTO keys SELECT code_key, count(*), min(number) FROM rows WHERE code_key IS NOT NULL
    GROUP BY code_key;
INSERT INTO spellings SELECT code_key, rows.invite_code, count(*), min(rows.number)
    FROM rows JOIN keys USING (code_key) WHERE keys.uses > 1 GROUP BY code_key, rows.invite_code;
BEGIN;
"""
_INVITERS = """
SELECT rows.number, CASE
    WHEN keys.uses IS NULL THEN $external
    WHEN keys.uses = 1 THEN keys.number
    WHEN spellings.uses = 1 THEN spellings.number
    ELSE $ambiguous END
FROM rows LEFT JOIN keys ON keys.code_key = inviter_key
LEFT JOIN spellings
    ON spellings.code_key = inviter_key AND spellings.invite_code = rows.inviter_code
WHERE phone IS NOT NULL AND inviter_code IS NOT NULL ORDER BY rows.number
"""
_ACCEPTED = "SELECT number FROM rows WHERE phone IS NOT NULL ORDER BY number"
_BY_NUMBER = """
SELECT rows.number, line, raw_phone, phone, name, email, invite_code, rows.number = keys.number,
    inviter_code, created_at, user_id
FROM rows LEFT JOIN keys USING (code_key)
WHERE rows.number IN (SELECT value FROM json_each(?))
"""


@dataclass(frozen=True, slots=True)
class StagedRow:
    """A row of the file, with its codes as the file spells them.

    raw_phone: as the file has it. phone: E.164, empty if the row was refused.
    owns_code: whether this is the first row with the code. user_id: None until the user exists.
    """

    number: int
    line: int
    raw_phone: str
    phone: str
    name: str | None
    email: str | None
    invite_code: str | None
    owns_code: bool
    inviter_code: str | None
    created_at: datetime | None
    user_id: UUID | None


class Staging:
    """The rows, numbered from 1 in the order in which they are added.

    Add all rows, then call `index_codes`; the other methods need it.
    """

    def __enter__(self) -> Self:
        self._file = sqlite3.connect("", isolation_level=None)
        self._file.executescript(_CREATE)
        self.size = 0
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, _: object) -> None:
        self._file.close()
        # Only errors of this database: Tortoise raises its own for the service's
        if kind is not None and issubclass(kind, sqlite3.Error):
            raise SetupError(
                f"the import's temporary database: {error}; set TMPDIR to a folder with space"
            )

    def add(self, row: UserRow, *, line: int, raw_phone: str) -> int | None:
        """Add a row, or return the line of the earlier row that has the same phone."""
        added = self._add(
            line,
            raw_phone,
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
        """Add a refused row with only its code, so that an inviter_code can be found to mean it."""
        self._add(line, "", None, None, None, code, None, None)

    def index_codes(self) -> None:
        """Count the uses of each code, after the last row."""
        self._file.executescript(_INDEX_CODES)

    def accepted_numbers(self) -> Iterator[int]:
        """Return the numbers of the rows that were not refused."""
        for (number,) in self._file.execute(_ACCEPTED):
            yield number

    def rows_by_number(self, numbers: Iterable[int]) -> dict[int, StagedRow]:
        rows = self._file.execute(_BY_NUMBER, [json.dumps(list(numbers))])
        return {columns[0]: _row(*columns) for columns in rows}

    def set_user_ids(self, users: Iterable[tuple[int, UUID]]) -> None:
        """Store the ids of the users of rows, given by the rows' numbers."""
        self._file.executemany(
            "UPDATE rows SET user_id = ? WHERE number = ?",
            [(user.bytes, number) for number, user in users],
        )

    def has_code(self, code: str) -> bool:
        """Return whether a row has this canonical code, in any spelling."""
        found = self._file.execute("SELECT 1 FROM keys WHERE code_key = ?", [code]).fetchone()
        return found is not None

    def resolve_inviters(self) -> tuple[array[int], list[int]]:
        """Return the number of each row's inviter, as forest.leaves_first takes them.

        Also return the numbers of the rows whose inviter_code is ambiguous: it may mean several
        rows, and not exactly one of them spells it in the same way.
        """
        inviters, ambiguous = array("i", [NO_INVITER]) * (self.size + 1), []
        values = {"external": EXTERNAL, "ambiguous": _AMBIGUOUS}
        for number, inviter in self._file.execute(_INVITERS, values):
            if inviter == _AMBIGUOUS:
                ambiguous.append(number)
            else:
                inviters[number] = inviter
        return inviters, ambiguous

    def _add(
        self,
        line: int,
        raw_phone: str,
        phone: str | None,
        name: str | None,
        email: str | None,
        code: str | None,
        inviter: str | None,
        created_at: str | None,
    ) -> bool:
        values = [line, raw_phone, phone, name, email]
        for text in (code, inviter):
            values += [text, None if text is None else user_row.code_key(text)]
        added = bool(self._file.execute(_ADD, [*values, created_at]).rowcount)
        self.size += added
        return added


def _row(*columns: Any) -> StagedRow:
    number, line, raw_phone, phone, name, email, code, owns, inviter, created_at, user_id = columns
    return StagedRow(
        number=number,
        line=line,
        raw_phone=raw_phone,
        phone=phone or "",
        name=name,
        email=email,
        invite_code=code,
        owns_code=bool(owns),
        inviter_code=inviter,
        created_at=datetime.fromisoformat(created_at) if created_at else None,
        user_id=UUID(bytes=user_id) if user_id else None,
    )
