"""An import in progress: its parameters, and its counts so far."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from referral.core.phone import PhoneRules
from referral.import_export.staging import StagedRow

BATCH = 2000

Progress = Callable[[str, int, int | None], None]
"""Called with the name of a phase, the number done, and the total, None if it is not known."""


class ReportRow(NamedTuple):
    """A row of the report: something that was refused or changed.

    phone: as the file has it. old_code: an invite code of the file: the one that was changed, or
    the inviter's if only the inviter was refused. new_code: instead of the one that was changed.
    """

    line: int
    phone: str
    reason: str
    detail: str
    old_code: str = ""
    new_code: str = ""


@dataclass(kw_only=True)
class ImportRun:
    """One import: its parameters, and its counts so far."""

    rules: PhoneRules
    test_phones: Collection[str]
    admins_allowed: bool
    now: datetime
    randbelow: Callable[[int], int]
    token_bytes: Callable[[int], bytes]
    report: Callable[[ReportRow], None]
    progress: Progress
    invite_url: str = ""
    """The template of invite links, with `{code}` in it."""
    batch: int = BATCH
    """How many rows are imported in one transaction."""

    rows: int = 0
    refused: int = 0
    added: int = 0
    existing: int = 0
    codes_changed: int = 0
    linked: int = 0
    already_linked: int = 0
    links_refused: int = 0

    def refuse_link(self, row: StagedRow, reason: str, detail: str) -> None:
        """Count and report that a row's user is imported without the inviter."""
        self.links_refused += 1
        self.report(ReportRow(row.line, row.raw_phone, reason, detail, row.inviter_code or ""))
