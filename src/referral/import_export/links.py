"""Linking imported users to their inviters if that was not possible when they were added."""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from typing import NamedTuple
from uuid import UUID

from referral.core.errors import InviteAlreadyActivated, InviteLoop, OwnInviteCode
from referral.import_export import store, users
from referral.import_export.forest import Forest
from referral.import_export.run import ImportRun
from referral.import_export.staging import StagedRow, Staging
from referral.import_export.store import LockedUser
from referral.import_export.users import PlannedUser
from referral.rewards import activation_queries
from referral.storage import database

_UNKNOWN = "unknown_inviter_code"
_LOOP = (InviteLoop.code, "This user invited the inviter, directly or through others.")


class RefusedLink(NamedTuple):
    """A row whose user is not linked to the inviter, and why."""

    row: StagedRow
    reason: str
    detail: str


async def create(order: array[int], staging: Staging, inviters: array[int], run: ImportRun) -> None:
    """Link the users of these rows to their inviters, and report the links that are refused."""
    for start in range(0, len(order), run.batch):
        numbers = order[start : start + run.batch]
        batch = []
        for planned in users.plan_users(numbers, staging, inviters):
            if planned.inviter is not None and planned.inviter.user_id is None:
                line = planned.inviter.line
                detail = f"Line {line}, which has this code, was refused: correct it first."
                run.refuse_link(planned.row, _UNKNOWN, detail)
            else:
                batch.append(planned)
        await _link_batch(batch, run)
        run.progress("invitations", start + len(numbers), len(order))


async def _link_batch(batch: Sequence[PlannedUser], run: ImportRun) -> None:
    refused, linked = await database.transaction(lambda: _link_in_transaction(batch, run))
    run.linked += linked
    run.already_linked += len(batch) - linked - len(refused)
    for row, reason, detail in refused:
        run.refuse_link(row, reason, detail)


async def _link_in_transaction(
    batch: Sequence[PlannedUser], run: ImportRun
) -> tuple[list[RefusedLink], int]:
    """Return the links that were refused, and how many were made."""
    await store.lock_imports()
    external_ids = await users.find_external_inviters(batch)
    wanted = [
        (row, row.user_id, inviter.user_id if inviter else external_ids.get(row.number))
        for row, inviter, _ in batch
        if row.user_id is not None
    ]
    inviter_ids = {inviter_id for _, _, inviter_id in wanted if inviter_id is not None}
    roots = await store.find_roots(inviter_ids)
    locked = await store.lock(
        changed={user_id for _, user_id, _ in wanted}, kept=inviter_ids | set(roots.values())
    )
    if database.is_postgres() and roots != await store.find_roots(inviter_ids):
        # An activation has changed a tree before the locks were taken
        raise database.Conflict
    trees = Forest(roots)
    refused, made = [], []
    for row, user_id, inviter_id in wanted:
        refusal = _check(user_id, inviter_id, locked)
        if refusal is None and inviter_id is not None and locked[user_id].inviter_id is None:
            if trees.link(user_id, inviter_id):
                made.append((user_id, inviter_id))
            else:
                refusal = _LOOP
        if refusal is not None:
            refused.append(RefusedLink(row, *refusal))
    await store.link(made)
    await activation_queries.add_all(made, made_at=run.now)
    return refused, len(made)


def _check(
    user_id: UUID, inviter_id: UUID | None, locked: Mapping[UUID, LockedUser]
) -> tuple[str, str] | None:
    """Check everything about a link except loops.

    Return the reason and the detail if it is refused.
    """
    user, inviter = locked[user_id], locked.get(inviter_id) if inviter_id else None
    if inviter is None or inviter.is_deleted:
        return _UNKNOWN, "There is no such invite code."
    if inviter_id == user_id:
        return OwnInviteCode.code, "This is the user's own invite code."
    if user.inviter_id not in {None, inviter_id}:
        detail = "This user has another inviter already, which cannot be changed."
        return InviteAlreadyActivated.code, detail
    if user.is_deleted:
        return "account_deleted", "The account was deleted during the import."
    return None
