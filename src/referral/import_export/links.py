"""The links of an import that are made after its users."""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from uuid import UUID

from referral.core.errors import InviteAlreadyActivated, InviteLoop, OwnInviteCode
from referral.import_export import store, users
from referral.import_export.forest import Forest
from referral.import_export.run import Import
from referral.import_export.staging import StagedRow, Staging
from referral.import_export.store import Node
from referral.import_export.users import Want
from referral.storage import database

_UNKNOWN = "unknown_inviter_code"
_LOOP = (InviteLoop.code, "This user invited the inviter, directly or through others.")

Refused = tuple[StagedRow, str, str]
"""A row, a reason and its detail."""


async def make(order: array[int], staging: Staging, inviters: array[int], run: Import) -> None:
    """Link the rows of these numbers to their inviters, as far as that makes no loop."""
    for start in range(0, len(order), run.batch):
        numbers = order[start : start + run.batch]
        good = []
        for want in users.read_wants(numbers, staging, inviters):
            if want.inviter is not None and want.inviter.user_id is None:
                line = want.inviter.line
                detail = f"Line {line}, which has this code, was refused: correct it first."
                run.refuse_link(want.row, _UNKNOWN, detail)
            else:
                good.append(want)
        await _link_some(good, run)
        run.progress("invitations", start + len(numbers), len(order))


async def _link_some(wants: Sequence[Want], run: Import) -> None:
    refused, linked = await database.transaction(lambda: _link(wants))
    run.linked += linked
    run.linked_before += len(wants) - linked - len(refused)
    for row, reason, detail in refused:
        run.refuse_link(row, reason, detail)


async def _link(wants: Sequence[Want]) -> tuple[list[Refused], int]:
    """Link what can be linked: what cannot, and why, and how many were linked just now."""
    await store.lock_imports()
    elsewhere = await users.find_elsewhere(wants)
    links = [
        (row, row.user_id, inviter.user_id if inviter else elsewhere.get(row.n))
        for row, inviter, _ in wants
        if row.user_id is not None
    ]
    inviters = {inviter_id for _, _, inviter_id in links if inviter_id is not None}
    roots = await store.find_roots(inviters)
    nodes = await store.lock(
        changed={user_id for _, user_id, _ in links}, kept=inviters | set(roots.values())
    )
    if database.is_postgres() and roots != await store.find_roots(inviters):
        raise database.Conflict
    trees = Forest(roots)
    refused, made = [], []
    for row, user_id, inviter_id in links:
        why = _why_not(user_id, inviter_id, nodes)
        if why is None and inviter_id is not None and nodes[user_id].inviter_id is None:
            if trees.link(user_id, inviter_id):
                made.append((user_id, inviter_id))
            else:
                why = _LOOP
        if why is not None:
            refused.append((row, *why))
    await store.link(made)
    return refused, len(made)


def _why_not(
    user_id: UUID, inviter_id: UUID | None, nodes: Mapping[UUID, Node]
) -> tuple[str, str] | None:
    """Why one user cannot be invited by another, whoever invites whom besides."""
    user, inviter = nodes[user_id], nodes.get(inviter_id) if inviter_id else None
    if inviter is None or inviter.is_deleted:
        return _UNKNOWN, "There is no such invite code."
    if inviter_id == user_id:
        return OwnInviteCode.code, "This is the user's own invite code."
    if user.inviter_id not in {None, inviter_id}:
        detail = "This user has another inviter already, and one is for life."
        return InviteAlreadyActivated.code, detail
    if user.is_deleted:
        return "account_deleted", "The account was deleted just now."
    return None
