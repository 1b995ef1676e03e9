"""Queries for flags: read about an inviter and the invitees around a new one, and add flags."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from datetime import datetime
from uuid import UUID

from msgspec import Struct

from referral.rewards import flags
from referral.rewards.flags import Flag
from referral.storage import database, dialect
from referral.storage.models import Activation

_INVITER = """
    SELECT phone,
           (SELECT generation FROM device_generations WHERE user_id = users.id) AS generation,
           EXISTS (
               SELECT 1 FROM sessions
               WHERE sessions.user_id = users.id AND last_used_at > $2
               AND address_digest IN ({digests})
           ) AS was_at_address
    FROM users WHERE id = $1
"""
# Each half reads at most its limit from the index of an inviter's invitees
_AROUND = f"""
    SELECT * FROM (
        SELECT id, activated_at FROM users
        WHERE inviter_id = $1 AND id <> $2 AND activated_at > $3 AND activated_at <= $4
        ORDER BY activated_at DESC, id DESC LIMIT {flags.BURST_SIZE - 1}
    ) AS earlier
    UNION ALL
    SELECT * FROM (
        SELECT id, activated_at FROM users
        WHERE inviter_id = $1 AND activated_at > $4 AND activated_at < $5
        ORDER BY activated_at, id LIMIT {flags.BURST_SIZE - 1}
    ) AS later
"""  # noqa: S608 - only constants
# The block is read first, from the index of phones: with all conditions in one place, PostgreSQL
# could choose to read all invitees of the inviter. The limit is the most that a block can have
_IN_BLOCK = """
    WITH block AS MATERIALIZED (
        SELECT id, inviter_id, activated_at FROM users
        WHERE phone BETWEEN $1 AND $2 AND LENGTH(phone) = LENGTH($1)
        ORDER BY phone LIMIT 10000
    )
    SELECT id FROM block WHERE inviter_id = $3 AND activated_at > $4
    ORDER BY activated_at DESC, id DESC LIMIT $5
"""


class Inviter(Struct, frozen=True):
    """An inviter's phone, the generation of their device tokens, and whether one of their sessions
    was last used from the address, recently.
    """

    phone: str | None
    generation: int
    was_at_address: bool


async def inviter(user_id: UUID, address_digests: Collection[str], *, since: datetime) -> Inviter:
    """Return the facts about an inviter. since: sessions used after it are recent."""
    # No session has an empty digest
    rows = [(each,) for each in address_digests or [""]]
    sql, values = dialect.values_table(("TEXT",), rows, first=3)
    (row,) = await database.query(_INVITER.format(digests=sql), user_id, since, *values)
    return Inviter(
        phone=row["phone"],
        generation=row["generation"] or 0,
        was_at_address=bool(row["was_at_address"]),
    )


async def activated_around(activation: Activation) -> dict[UUID, datetime]:
    """Return the inviter's invitees right before and after an activation, and when they activated.

    An imported invitee counts at the time of the sign-up, not of the import.
    """
    at = activation.made_at
    rows = await database.query(
        _AROUND,
        activation.inviter_id,
        activation.user_id,
        at - flags.BURST_WITHIN,
        at,
        at + flags.BURST_WITHIN,
    )
    return {UUID(str(row["id"])): row["activated_at"] for row in dialect.decode_rows(rows)}


async def in_block(phone: str, inviter_id: UUID, *, since: datetime, limit: int) -> list[UUID]:
    """Return the inviter's invitees in a phone's block of numbers, newest first.

    since: only those who activated the code after it.
    """
    first, last = flags.block_of(phone)
    rows = await database.query(_IN_BLOCK, first, last, inviter_id, since, limit)
    return [UUID(str(row["id"])) for row in rows]


async def add(inviter_id: UUID, wanted: Mapping[UUID, Collection[Flag]]) -> dict[int, str]:
    """Add flags to the present activations of an inviter's invitees.

    Return the new text of the activations that did not have all of them, by their ids. Call it with
    the inviter locked.
    """
    if not wanted:
        return {}
    changed: dict[int, str] = {}
    ids: defaultdict[str, list[int]] = defaultdict(list)
    for each in await Activation.filter(user_id__in=list(wanted), voided_at__isnull=True):
        text = flags.text_of(flags.parse(each.flags).union(wanted[each.user_id]))
        if each.inviter_id == inviter_id and text != each.flags:
            changed[each.id] = text
            ids[text].append(each.id)
    for text, same in ids.items():
        await Activation.filter(id__in=same, voided_at__isnull=True).update(flags=text)
    return changed
