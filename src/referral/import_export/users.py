"""Adding the users of an import, inviters before their invitees."""

from __future__ import annotations

from array import array
from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple
from uuid import UUID

from referral.context import COMMAND
from referral.core import ids
from referral.core import invite_code as invite_codes
from referral.import_export import forest, store, user_row
from referral.import_export.forest import EXTERNAL
from referral.import_export.run import ImportRun, ReportRow
from referral.import_export.staging import StagedRow, Staging
from referral.import_export.store import ExistingUser, NewUser
from referral.rewards import activation_queries
from referral.storage import audit, database
from referral.storage.models import AuditEntry


class PlannedUser(NamedTuple):
    """A row and its inviter: another row, or the owner of a code in the database, or neither."""

    row: StagedRow
    inviter: StagedRow | None
    external_code: str | None


async def add(staging: Staging, inviters: array[int], run: ImportRun) -> array[int]:
    """Add all users who do not exist yet.

    Return the numbers of the rows that are still to be linked to their inviters, leaves first.
    """
    order = array("i", (number for number in staging.accepted_numbers() if not inviters[number]))
    invited = forest.leaves_first(inviters)
    invited.reverse()
    order.extend(invited)
    unlinked = array("i")
    for start in range(0, len(order), run.batch):
        batch = plan_users(order[start : start + run.batch], staging, inviters)
        unlinked.extend(await _add_batch(batch, staging, run))
        run.progress("users", start + len(batch), len(order))
    unlinked.reverse()
    return unlinked


def plan_users(numbers: array[int], staging: Staging, inviters: array[int]) -> list[PlannedUser]:
    """Read the rows of these numbers together with their inviters."""
    rows = staging.rows_by_number({*numbers, *(inviters[number] for number in numbers)})
    return [
        PlannedUser(
            rows[number],
            rows.get(inviters[number]),
            rows[number].inviter_code if inviters[number] == EXTERNAL else None,
        )
        for number in numbers
    ]


async def find_external_inviters(batch: Iterable[PlannedUser]) -> dict[int, UUID]:
    """Find the inviters who are not in the file. Return their ids by the numbers of the rows."""
    codes = {
        planned.row.number: code
        for planned in batch
        if (code := user_row.canonical_code(planned.external_code))
    }
    found = await store.find_ids_by_code(set(codes.values()))
    return {number: found[code] for number, code in codes.items() if code in found}


async def _add_batch(batch: Sequence[PlannedUser], staging: Staging, run: ImportRun) -> list[int]:
    """Add a batch, and return the numbers of the rows that are still to be linked."""
    added, owners, inviter_ids = await database.transaction(
        lambda: _add_in_transaction(batch, staging, run)
    )
    staging.set_user_ids(
        (planned.row.number, owner.id) for planned, owner in zip(batch, owners, strict=True)
    )
    run.added += len(added)
    run.existing += len(batch) - len(added)
    unlinked = []
    for (row, inviter, external_code), owner, inviter_id in zip(
        batch, owners, inviter_ids, strict=True
    ):
        _report_changed_code(row, owner, run)
        if inviter_id is not None and owner.id in added:
            run.linked += 1
        elif inviter_id is not None and owner.inviter_id == inviter_id:
            run.already_linked += 1
        elif inviter is not None or external_code is not None:
            unlinked.append(row.number)
    return unlinked


async def _add_in_transaction(
    batch: Sequence[PlannedUser], staging: Staging, run: ImportRun
) -> tuple[set[UUID], list[ExistingUser], list[UUID | None]]:
    """Return the ids of the added users and, for each row, the user with its phone and the inviter.

    The inviter is given as an id, which is None if the inviter does not exist yet.
    """
    await store.lock_imports()
    by_phone = await store.find_by_phones([row.phone for row, *_ in batch])
    missing = [row for row, *_ in batch if row.phone not in by_phone]
    for row, code in zip(missing, await _choose_codes(missing, staging, run), strict=True):
        by_phone[row.phone] = ExistingUser(ids.new(run.token_bytes), code, None)
    owners = [by_phone[row.phone] for row, *_ in batch]
    added = {by_phone[row.phone].id for row in missing}
    inviter_ids = await _find_inviter_ids(batch, owners, added)
    new_users = [
        NewUser(
            id=owner.id,
            phone=row.phone,
            name=row.name,
            email=row.email,
            invite_code=owner.invite_code,
            inviter_id=inviter_id,
            created_at=row.created_at or run.now,
        )
        for (row, *_), owner, inviter_id in zip(batch, owners, inviter_ids, strict=True)
        if owner.id in added
    ]
    await store.add(new_users)
    invited = [user.id for user in new_users if user.inviter_id is not None]
    await activation_queries.add_of_new_users(invited, made_at=run.now)
    await store.delete_sign_up_grants([row.phone for row in missing])
    if run.admins_allowed:
        await _apply_admin_grants({row.phone for row in missing} - set(run.test_phones), run)
    return added, owners, inviter_ids


async def _apply_admin_grants(phones: Collection[str], run: ImportRun) -> None:
    user_ids = await store.apply_admin_grants(phones)
    await audit.add(
        AuditEntry(
            id=ids.new(run.token_bytes),
            at=run.now,
            action="admin_granted",
            actor=COMMAND.name,
            user_id=user_id,
        )
        for user_id in user_ids
    )


async def _choose_codes(rows: Sequence[StagedRow], staging: Staging, run: ImportRun) -> list[str]:
    """Choose the invite codes of new users: those of their rows if possible, else new ones."""

    def new_code() -> str:
        # A code of the file belongs to the user of that row, who may come later
        while staging.has_code(code := invite_codes.new(run.randbelow)):
            pass
        return code

    codes = [
        (user_row.canonical_code(row.invite_code) if row.owns_code else None) or new_code()
        for row in rows
    ]
    while taken := await store.find_ids_by_code(codes):
        codes = [new_code() if code in taken else code for code in codes]
    return codes


async def _find_inviter_ids(
    batch: Sequence[PlannedUser], owners: Sequence[ExistingUser], added: Collection[UUID]
) -> list[UUID | None]:
    """Find each row's inviter among existing users and earlier rows of the batch, and lock them."""
    external_ids = await find_external_inviters(batch)
    earlier: dict[int, UUID] = {}
    inviter_ids = []
    for (row, inviter, _), owner in zip(batch, owners, strict=True):
        if inviter is None:
            inviter_ids.append(external_ids.get(row.number))
        else:
            inviter_ids.append(inviter.user_id or earlier.get(inviter.number))
        earlier[row.number] = owner.id
    locked = await store.lock(kept={each for each in inviter_ids if each} - set(added))
    deleted = {user_id for user_id, user in locked.items() if user.is_deleted}
    return [None if each in deleted else each for each in inviter_ids]


def _report_changed_code(row: StagedRow, owner: ExistingUser, run: ImportRun) -> None:
    canonical = user_row.canonical_code(row.invite_code)
    if row.invite_code is None or canonical == owner.invite_code:
        return
    detail = (
        "The old code does not have the form of an invite code."
        if canonical is None
        else "Another user has the old code, or this phone had an account with the new one."
    )
    run.codes_changed += 1
    reason = "invite_code_changed"
    run.report(
        ReportRow(row.line, row.raw_phone, reason, detail, row.invite_code, owner.invite_code)
    )
