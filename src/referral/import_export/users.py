"""The users of an import: added, inviters before their invitees."""

from __future__ import annotations

from array import array
from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple
from uuid import UUID

from referral.core import ids
from referral.core import invite_code as invite_codes
from referral.import_export import forest, store, user_row
from referral.import_export.forest import ELSEWHERE
from referral.import_export.run import Finding, Import
from referral.import_export.staging import StagedRow, Staging
from referral.import_export.store import Found, NewUser
from referral.storage import database


class Want(NamedTuple):
    """A row, and who is to be its inviter: another row, or whose a code in the database is."""

    row: StagedRow
    inviter: StagedRow | None
    elsewhere: str | None


async def add(staging: Staging, inviters: array[int], run: Import) -> array[int]:
    """Add everybody who is not there; answers whose links are still to be made, leaves first."""
    order = array("i", (number for number in staging.accepted() if not inviters[number]))
    invited = forest.leaves_first(inviters)
    invited.reverse()
    order.extend(invited)
    later = array("i")
    for start in range(0, len(order), run.batch):
        some = read_wants(order[start : start + run.batch], staging, inviters)
        later.extend(await _add_some(some, staging, run))
        run.progress("users", start + len(some), len(order))
    later.reverse()
    return later


def read_wants(numbers: array[int], staging: Staging, inviters: array[int]) -> list[Want]:
    """What the rows of these numbers want."""
    rows = staging.by_number({*numbers, *(inviters[number] for number in numbers)})
    return [
        Want(
            rows[number],
            rows.get(inviters[number]),
            rows[number].inviter if inviters[number] == ELSEWHERE else None,
        )
        for number in numbers
    ]


async def find_elsewhere(wants: Iterable[Want]) -> dict[int, UUID]:
    """The inviters whom the file does not have, by the rows' numbers."""
    codes = {
        want.row.n: code for want in wants if (code := user_row.canonical_code(want.elsewhere))
    }
    found = await store.find_by_codes(set(codes.values()))
    return {number: found[code] for number, code in codes.items() if code in found}


async def _add_some(wants: Sequence[Want], staging: Staging, run: Import) -> list[int]:
    """The numbers of those whose links are still to be made."""
    added, owners, inviter_ids = await database.transaction(lambda: _add(wants, staging, run))
    staging.set_users((want.row.n, owner.id) for want, owner in zip(wants, owners, strict=True))
    run.added += len(added)
    run.there += len(wants) - len(added)
    later = []
    for (row, inviter, elsewhere), owner, inviter_id in zip(
        wants, owners, inviter_ids, strict=True
    ):
        _compare_codes(row, owner, run)
        if inviter_id is not None and owner.id in added:
            run.linked += 1
        elif inviter_id is not None and owner.inviter_id == inviter_id:
            run.linked_before += 1
        elif inviter is not None or elsewhere is not None:
            later.append(row.n)
    return later


async def _add(
    wants: Sequence[Want], staging: Staging, run: Import
) -> tuple[set[UUID], list[Found], list[UUID | None]]:
    """Who was added; for each row, who has the phone now, and the inviter, where they are there."""
    await store.lock_imports()
    found = await store.find_by_phones([row.phone for row, *_ in wants])
    missing = [row for row, *_ in wants if row.phone not in found]
    for row, code in zip(missing, await _codes(missing, staging, run), strict=True):
        found[row.phone] = Found(ids.new(run.token_bytes), code, None)
    owners = [found[row.phone] for row, *_ in wants]
    added = {found[row.phone].id for row in missing}
    inviter_ids = await _inviter_ids(wants, owners, added)
    await store.add(
        NewUser(
            id=owner.id,
            phone=row.phone,
            name=row.name,
            email=row.email,
            invite_code=owner.invite_code,
            inviter_id=inviter_id,
            created_at=row.created_at or run.now,
        )
        for (row, *_), owner, inviter_id in zip(wants, owners, inviter_ids, strict=True)
        if owner.id in added
    )
    if run.admins_allowed:
        await store.take_admin_grants({row.phone for row in missing} - set(run.test_phones))
    return added, owners, inviter_ids


async def _codes(rows: Sequence[StagedRow], staging: Staging, run: Import) -> list[str]:
    """The invite codes of new users: their rows', or where those cannot be, new ones."""

    def new_code() -> str:
        # A code that the file has is somebody's who is still to come
        while staging.has_code(code := invite_codes.new(run.randbelow)):
            pass
        return code

    codes = [
        (user_row.canonical_code(row.code) if row.owns_code else None) or new_code() for row in rows
    ]
    while taken := await store.find_by_codes(codes):
        codes = [new_code() if code in taken else code for code in codes]
    return codes


async def _inviter_ids(
    wants: Sequence[Want], owners: Sequence[Found], added: Collection[UUID]
) -> list[UUID | None]:
    """For each row the inviter's id, where they are there or come before it in this batch."""
    elsewhere = await find_elsewhere(wants)
    before: dict[int, UUID] = {}
    inviter_ids = []
    for (row, inviter, _), owner in zip(wants, owners, strict=True):
        if inviter is None:
            inviter_ids.append(elsewhere.get(row.n))
        else:
            inviter_ids.append(inviter.user_id or before.get(inviter.n))
        before[row.n] = owner.id
    nodes = await store.lock(kept={each for each in inviter_ids if each} - set(added))
    gone = {user_id for user_id, node in nodes.items() if node.is_deleted}
    return [None if each in gone else each for each in inviter_ids]


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
