"""Files of users: taken in, and written out.

An import reads the whole file first, into a staging of its own: so nothing is changed for a file
that turns out to be none, and all codes of the file are known before the first new one is made.
Then it adds the users, then the links, a batch to a transaction. What is there already is found
there, so the same command goes on where an earlier one ended, however that ended.

It is safe beside a running service: users are inserted where neither phone nor code is taken, and
a batch of links holds the locks that each activation in it would hold (service/invitations.py),
looks again, and links what makes no loop with what is there and with the rest of the batch.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from referral.core import forest, ids, user_file, user_row
from referral.core import invite_code as invite_codes
from referral.core.errors import (
    InvalidRequest,
    InviteAlreadyActivated,
    InviteLoop,
    OwnInviteCode,
    Refusal,
)
from referral.core.forest import Forest
from referral.core.phone import Rules
from referral.core.user_file import Format, Line
from referral.service import outcomes
from referral.storage import database, transfer
from referral.storage.staging import StagedRow, Staging
from referral.storage.transfer import Found, NewUser

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

    rows: int = 0
    refused: int = 0
    added: int = 0
    there: int = 0
    codes_changed: int = 0
    linked: int = 0
    linked_before: int = 0
    links_refused: int = 0


async def import_users(lines: Iterable[Line], run: Import) -> None:
    """Take in what the rules take of a file; the rest is reported. Raises Unreadable."""
    with Staging() as staging:
        _read(lines, staging, run)
        await transfer.widen_cache()
        await _add_users(staging, run)
        await _link_users(staging, run)
    outcomes.record("users_imported", added=run.added, linked=run.linked)


async def export_users(write: Callable[[str], object], form: Format, progress: Progress) -> int:
    """Write all users but deleted ones, the oldest first; answers how many."""
    total, done = await transfer.count(), 0
    write(user_file.write([], form, header=True))
    async for page in transfer.pages(BATCH):
        write(user_file.write(map(user_row.write, page), form, header=False))
        done += len(page)
        progress("users", done, total)
    outcomes.record("users_exported", users=done)
    return done


def _read(lines: Iterable[Line], staging: Staging, run: Import) -> None:
    for line in lines:
        run.rows += 1
        if finding := _stage(line, staging, run):
            if code := line.texts.get("invite_code", "").strip():
                staging.add_refused(line=line.number, code=code)
            run.refused += 1
            run.report(finding)
        if run.rows % BATCH == 0:
            run.progress("rows", run.rows, None)
    run.progress("rows", run.rows, run.rows)
    staging.close()


def _stage(line: Line, staging: Staging, run: Import) -> Finding | None:
    given = line.texts.get("phone", "")
    if line.problem is not None:
        return Finding(line.number, given, "invalid_row", line.problem)
    try:
        row = user_row.read(line.texts, rules=run.rules, now=run.now)
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


async def _add_users(staging: Staging, run: Import) -> None:
    done = 0
    for rows in staging.batches(BATCH):
        await _add_some(rows, staging, run)
        done += len(rows)
        run.progress("users", done, run.rows - run.refused)


async def _add_some(rows: Sequence[StagedRow], staging: Staging, run: Import) -> None:
    def new_code() -> str:
        # A code that the file has is somebody's who is still to come
        while staging.has_code(code := invite_codes.new(run.randbelow)):
            pass
        return code

    users = [
        NewUser(
            id=ids.new(run.token_bytes),
            phone=row.phone,
            name=row.name,
            email=row.email,
            invite_code=user_row.canonical_code(row.code) or new_code(),
            created_at=row.created_at or run.now,
        )
        for row in rows
    ]
    found = await database.transaction(lambda: _add(users, new_code, run))
    owners = [found[user.phone] for user in users]
    staging.set_users((row.n, owner.id) for row, owner in zip(rows, owners, strict=True))
    added = sum(owner.id == user.id for owner, user in zip(owners, users, strict=True))
    run.added += added
    run.there += len(rows) - added
    for row, owner in zip(rows, owners, strict=True):
        _compare_codes(row, owner, run)


async def _add(
    users: Sequence[NewUser], new_code: Callable[[], str], run: Import
) -> dict[str, Found]:
    """Who has each phone, once everybody has an account."""
    await transfer.lock_imports()
    found = await transfer.find_by_phones([user.phone for user in users])
    missing = added = [user for user in users if user.phone not in found]
    while missing:
        await transfer.add(missing)
        found |= await transfer.find_by_phones([user.phone for user in missing])
        # Somebody has their code
        missing = [
            replace(user, invite_code=new_code()) for user in missing if user.phone not in found
        ]
    if run.admins_allowed:
        phones = {user.phone for user in added} - set(run.test_phones)
        await transfer.take_admin_grants(phones)
    return found


def _compare_codes(row: StagedRow, owner: Found, run: Import) -> None:
    canonical = user_row.canonical_code(row.code)
    if row.code is None or canonical == owner.invite_code:
        return
    detail = (
        "No invite code looks like the old one."
        if canonical is None
        else "Somebody else has the old code, or this phone had an account with the new one."
    )
    run.codes_changed += 1
    run.report(
        Finding(row.line, row.given, "invite_code_changed", detail, row.code, owner.invite_code)
    )


class _Link(NamedTuple):
    """What a row wants. inviter_id: None where only the database knows whose the code is."""

    row: StagedRow
    user_id: UUID
    inviter_id: UUID | None


async def _link_users(staging: Staging, run: Import) -> None:
    inviters, ambiguous = staging.inviters()
    for start in range(0, len(ambiguous), BATCH):
        for row in staging.by_number(ambiguous[start : start + BATCH]).values():
            _refuse_link(row, "ambiguous_inviter_code", "Several rows have this code.", run)
    order = forest.leaves_first(inviters)
    for start in range(0, len(order), BATCH):
        await _link_some(order[start : start + BATCH], inviters, staging, run)
        run.progress("invitations", min(start + BATCH, len(order)), len(order))


async def _link_some(
    numbers: array[int], inviters: array[int], staging: Staging, run: Import
) -> None:
    rows = staging.by_number({*numbers, *(inviters[number] for number in numbers)})
    links = []
    for number in numbers:
        row, inviter = rows[number], rows.get(inviters[number])
        if inviter is not None and inviter.user_id is None:
            detail = f"Line {inviter.line}, which has this code, was refused: correct it first."
            _refuse_link(row, "unknown_inviter_code", detail, run)
        elif row.user_id is not None:
            links.append(_Link(row, row.user_id, inviter.user_id if inviter else None))
    refused, linked = await database.transaction(lambda: _link(links))
    run.linked += linked
    run.linked_before += len(links) - linked - len(refused)
    for row, reason, detail in refused:
        _refuse_link(row, reason, detail, run)


def _refuse_link(row: StagedRow, reason: str, detail: str, run: Import) -> None:
    run.links_refused += 1
    run.report(Finding(row.line, row.given, reason, detail, row.inviter or ""))


async def _link(links: Sequence[_Link]) -> tuple[list[tuple[StagedRow, str, str]], int]:
    """Link what can be linked: what cannot, and why, and how many were linked just now."""
    await transfer.lock_imports()
    links = await _with_inviters(links)
    inviters = {link.inviter_id for link in links if link.inviter_id is not None}
    roots = await transfer.find_roots(inviters)
    nodes = await transfer.lock(
        changed={link.user_id for link in links}, kept=inviters | set(roots.values())
    )
    if database.is_postgres() and roots != await transfer.find_roots(inviters):
        raise database.Conflict
    trees = Forest(roots)
    refused, made = [], []
    for row, user_id, inviter_id in links:
        inviter = nodes.get(inviter_id) if inviter_id is not None else None
        if inviter_id is None or inviter is None or inviter.is_deleted:
            refused.append((row, "unknown_inviter_code", "There is no such invite code."))
        elif inviter_id == user_id:
            refused.append((row, OwnInviteCode.code, "This is the user's own invite code."))
        elif nodes[user_id].inviter_id == inviter_id:
            pass
        elif nodes[user_id].inviter_id is not None:
            detail = "This user has another inviter already, and one is for life."
            refused.append((row, InviteAlreadyActivated.code, detail))
        elif nodes[user_id].is_deleted:
            refused.append((row, "account_deleted", "The account was deleted just now."))
        elif not trees.link(user_id, inviter_id):
            detail = "This user invited the inviter, directly or through others."
            refused.append((row, InviteLoop.code, detail))
        else:
            made.append((user_id, inviter_id))
    await transfer.link(made)
    return refused, len(made)


async def _with_inviters(links: Sequence[_Link]) -> list[_Link]:
    """Those of codes that the file does not have, from the database."""
    codes = [
        user_row.canonical_code(link.row.inviter) if link.inviter_id is None else None
        for link in links
    ]
    found = await transfer.find_by_codes({code for code in codes if code is not None})
    return [
        link._replace(inviter_id=found.get(code)) if code is not None else link
        for link, code in zip(links, codes, strict=True)
    ]
