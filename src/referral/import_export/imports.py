"""Importing users from a file, and exporting them to one.

An import first reads the whole file into a staging database. So a file that turns out to be
unreadable changes nothing, and all codes of the file are known before the first new code is
generated. Then it adds the users in batches, a transaction each, inviters before their invitees.
Users who exist already are recognised by their phones, so the same command continues where an
earlier run was interrupted.

An import is safe beside a running service. Inserting a user together with their inviter cannot
close a loop: nobody can have been invited by a user who did not exist. Only two kinds of users are
linked to their inviters afterwards: those who existed already, and those whose inviter comes after
them in a loop of the file. A batch of such links takes the locks that each of its activations
would take (service/invitations.py), reads the roots again, and makes only the links that close no
loop, neither with existing links nor with others of the batch.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable

from referral import observability
from referral.core.errors import InvalidRequest, Refusal
from referral.import_export import links, store, user_file, user_row, users
from referral.import_export.run import BATCH, ImportRun, Progress, ReportRow
from referral.import_export.staging import Staging
from referral.import_export.user_file import Format, Line


async def import_users(lines: Iterable[Line], run: ImportRun) -> None:
    """Import the rows that the rules accept, and report the others. Raises UnreadableFile."""
    with Staging() as staging:
        _stage_all(lines, staging, run)
        await store.enlarge_cache()
        inviters = _resolve_inviters(staging, run)
        unlinked = await users.add(staging, inviters, run)
        await links.create(unlinked, staging, inviters, run)
    observability.record("users_imported", added=run.added, linked=run.linked)


async def export_users(
    write: Callable[[str], object], file_format: Format, progress: Progress, *, batch: int = BATCH
) -> int:
    """Write all users except deleted ones, oldest first. Return how many were written."""
    total, done = await store.count(), 0
    write(user_file.format_rows([], file_format, header=True))
    async for page in store.pages(batch):
        write(user_file.format_rows(map(user_row.to_texts, page), file_format, header=False))
        done += len(page)
        progress("users", done, total)
    observability.record("users_exported", users=done)
    return done


def _stage_all(lines: Iterable[Line], staging: Staging, run: ImportRun) -> None:
    for line in lines:
        run.rows += 1
        if refusal := _stage(line, staging, run):
            if code := line.texts.get("invite_code", "").strip():
                staging.add_refused(line=line.number, code=code)
            run.refused += 1
            run.report(refusal)
        if run.rows % run.batch == 0:
            run.progress("rows", run.rows, None)
    run.progress("rows", run.rows, run.rows)
    staging.index_codes()


def _stage(line: Line, staging: Staging, run: ImportRun) -> ReportRow | None:
    """Stage a row, or return why it is refused."""
    phone = line.texts.get("phone", "")
    if line.problem is not None:
        return ReportRow(line.number, phone, "invalid_row", line.problem)
    try:
        row = user_row.parse(line.texts, rules=run.rules, now=run.now, invite_url=run.invite_url)
    except InvalidRequest as refusal:
        [error] = refusal.members["errors"]
        return ReportRow(line.number, phone, f"invalid_{error['field']}", error["message"])
    except Refusal as refusal:
        return ReportRow(line.number, phone, refusal.code, refusal.detail)
    earlier = staging.add(row, line=line.number, raw_phone=phone)
    if earlier is None:
        return None
    detail = f"Line {earlier} has the same phone: keep only one of the two."
    return ReportRow(line.number, phone, "repeated_phone", detail)


def _resolve_inviters(staging: Staging, run: ImportRun) -> array[int]:
    """Return the number of each row's inviter, for forest.leaves_first. Report ambiguous ones."""
    inviters, ambiguous = staging.resolve_inviters()
    for start in range(0, len(ambiguous), run.batch):
        for row in staging.rows_by_number(ambiguous[start : start + run.batch]).values():
            run.refuse_link(row, "ambiguous_inviter_code", "Several rows have this code.")
    return inviters
