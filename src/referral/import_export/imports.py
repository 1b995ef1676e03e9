"""Files of users: taken in, and written out.

An import reads the whole file first, into a staging of its own: so nothing is changed for a file
that turns out to be none, and all codes of the file are known before the first new one is made.
Then it adds the users, inviters before their invitees, a batch to a transaction. What is there
already is found there, so the same command goes on where an earlier one ended, however that ended.

It is safe beside a running service. A user who is inserted with an inviter closes no loop: nobody
can have been invited by somebody who was not there. Only those who were there already, or whose
inviter comes after them in a loop of the file, are linked afterwards; a batch of such links holds
the locks that each activation in it would hold (service/invitations.py), looks again, and links
what makes no loop with what is there and with the rest of the batch.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable

from referral import observability
from referral.core.errors import InvalidRequest, Refusal
from referral.import_export import links, store, user_file, user_row, users
from referral.import_export.run import BATCH, Finding, Import, Progress
from referral.import_export.staging import Staging
from referral.import_export.user_file import Format, Line


async def import_users(lines: Iterable[Line], run: Import) -> None:
    """Take in what the rules take of a file; the rest is reported. Raises Unreadable."""
    with Staging() as staging:
        _read(lines, staging, run)
        await store.widen_cache()
        inviters = _inviters(staging, run)
        later = await users.add(staging, inviters, run)
        await links.make(later, staging, inviters, run)
    observability.record("users_imported", added=run.added, linked=run.linked)


async def export_users(
    write: Callable[[str], object], form: Format, progress: Progress, *, batch: int = BATCH
) -> int:
    """Write all users but deleted ones, the oldest first; answers how many."""
    total, done = await store.count(), 0
    write(user_file.write([], form, header=True))
    async for page in store.pages(batch):
        write(user_file.write(map(user_row.write, page), form, header=False))
        done += len(page)
        progress("users", done, total)
    observability.record("users_exported", users=done)
    return done


def _read(lines: Iterable[Line], staging: Staging, run: Import) -> None:
    for line in lines:
        run.rows += 1
        if finding := _stage(line, staging, run):
            if code := line.texts.get("invite_code", "").strip():
                staging.add_refused(line=line.number, code=code)
            run.refused += 1
            run.report(finding)
        if run.rows % run.batch == 0:
            run.progress("rows", run.rows, None)
    run.progress("rows", run.rows, run.rows)
    staging.close()


def _stage(line: Line, staging: Staging, run: Import) -> Finding | None:
    given = line.texts.get("phone", "")
    if line.problem is not None:
        return Finding(line.number, given, "invalid_row", line.problem)
    try:
        row = user_row.parse(line.texts, rules=run.rules, now=run.now, invite_url=run.invite_url)
    except InvalidRequest as refusal:
        [error] = refusal.members["errors"]
        return Finding(line.number, given, f"invalid_{error['field']}", error["message"])
    except Refusal as refusal:
        return Finding(line.number, given, refusal.code, refusal.detail)
    earlier = staging.add(row, line=line.number, given=given)
    if earlier is None:
        return None
    detail = f"Line {earlier} has the same phone: leave one of the two."
    return Finding(line.number, given, "repeated_phone", detail)


def _inviters(staging: Staging, run: Import) -> array[int]:
    """For each row the number of its inviter's, as import_export/forest.py has it."""
    inviters, ambiguous = staging.inviters()
    for start in range(0, len(ambiguous), run.batch):
        for row in staging.by_number(ambiguous[start : start + run.batch]).values():
            run.refuse_link(row, "ambiguous_inviter_code", "Several rows have this code.")
    return inviters
