"""An import under way: what it is given, and what came of it so far."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from referral.core.phone import Rules
from referral.import_export.staging import StagedRow

BATCH = 2000

Progress = Callable[[str, int, int | None], None]
"""Called with what is being done, how many are done, and of how many, where that is known."""


class Finding(NamedTuple):
    """Something of a row that was refused or changed. phone: as the file has it."""

    line: int
    phone: str
    reason: str
    detail: str
    old_code: str = ""
    new_code: str = ""


@dataclass(kw_only=True)
class Import:
    """One import: what it is given, and what came of it so far."""

    rules: Rules
    test_phones: Collection[str]
    admins_allowed: bool
    now: datetime
    randbelow: Callable[[int], int]
    token_bytes: Callable[[int], bytes]
    report: Callable[[Finding], None]
    progress: Progress
    invite_url: str = ""
    """The shape of invite links, with `{code}` in it."""
    batch: int = BATCH
    """How many rows to a transaction."""

    rows: int = 0
    refused: int = 0
    added: int = 0
    there: int = 0
    codes_changed: int = 0
    linked: int = 0
    linked_before: int = 0
    links_refused: int = 0

    def refuse_link(self, row: StagedRow, reason: str, detail: str) -> None:
        """The user is taken, and the inviter is not."""
        self.links_refused += 1
        self.report(Finding(row.line, row.given, reason, detail, row.inviter or ""))
