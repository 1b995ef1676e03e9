"""Lists of users, as administrators choose, count and export them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, time
from uuid import UUID

from msgspec import Struct, structs

from referral import audit
from referral.context import Actor, Context
from referral.core import cursor as cursors
from referral.core import days
from referral.core import search as searches
from referral.core.errors import InvalidRequest
from referral.core.phone import PhoneRules
from referral.service import users
from referral.service.users import UserView
from referral.storage import database, user_lists
from referral.storage import users as user_queries
from referral.storage.user_lists import Order, Selection

MAX_COUNTED = 10_000

_EXPORT_PAGE = 500


class UserPage(Struct, frozen=True, kw_only=True):
    items: list[UserView]
    next_cursor: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class UserFilters:
    """Which users to list, with the texts as they were typed. An empty text counts as missing.

    inviter: an invite code or link, a phone, or a user id. first, last: days of joining, UTC.
    """

    search: str | None = None
    is_blocked: bool = False
    is_admin: bool = False
    inviter: str | None = None
    first: str | None = None
    last: str | None = None
    order: Order = "newest"


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """How many users match, and how many of them are blocked; both at most MAX_COUNTED + 1."""

    users: int
    blocked: int


async def select(
    ctx: Context, filters: UserFilters, *, rules: PhoneRules | None = None
) -> Selection:
    """Parse the filters. Raises InvalidRequest, which names the field.

    rules: for phones; by default, those of the API.
    """
    first = days.parse_day(filters.first, field="from") if filters.first else None
    last = days.parse_day(filters.last, field="to") if filters.last else None
    if first and last and first > last:
        raise InvalidRequest.field("from", "Give a day that is not after `to`.")
    rules = rules or ctx.phone_rules
    return Selection(
        search=searches.parse(filters.search or "", rules, invite_url=ctx.invite_url),
        is_blocked=filters.is_blocked,
        is_admin=filters.is_admin,
        inviter_id=await _inviter_id(ctx, filters.inviter, rules) if filters.inviter else None,
        joined_from=datetime.combine(first, time.min, UTC) if first else None,
        joined_until=datetime.combine(last, time.max, UTC) if last else None,
        order=filters.order,
    )


async def page(ctx: Context, selection: Selection, *, cursor: str | None, limit: int) -> UserPage:
    """Return a page of users. Raises InvalidRequest for a cursor of another order, too."""
    parse = cursors.parse_count if selection.order == "most_invitees" else cursors.parse
    after = parse(cursor) if cursor is not None else None
    rows, next_cursor = await user_lists.page(selection, after=after, limit=limit)
    return UserPage(items=[users.view(ctx, row) for row in rows], next_cursor=next_cursor)


async def count(selection: Selection) -> Counts:
    """Count the users of a list, and the blocked ones."""
    number = await user_lists.count(selection, most=MAX_COUNTED + 1)
    if selection.is_blocked or not number:
        return Counts(users=number, blocked=number)
    selection = structs.replace(selection, is_blocked=True)
    return Counts(users=number, blocked=await user_lists.count(selection, most=MAX_COUNTED + 1))


async def export(ctx: Context, selection: Selection, *, by: Actor) -> AsyncIterator[list[UserView]]:
    """Yield all users of a list, one page at a time. The audit trail has who read them.

    Those with the most invitees first would come in the order of numbers that change meanwhile:
    they come newest first, so that each comes once.
    """
    if selection.order == "most_invitees":
        selection = structs.replace(selection, order="newest")
    await database.transaction(lambda: audit.record(ctx, "users_downloaded", by=by))
    async for found in cursors.every_page(
        lambda cursor: page(ctx, selection, cursor=cursor, limit=_EXPORT_PAGE)
    ):
        yield found.items


async def _inviter_id(ctx: Context, text: str, rules: PhoneRules) -> UUID:
    """Return the id of the user whose invite code, phone or id this is. Raises InvalidRequest."""
    try:
        search = searches.parse(text, rules, invite_url=ctx.invite_url)
    except InvalidRequest:
        search = None
    if search is not None:
        if search.user_id is not None:
            return search.user_id
        found = await user_queries.find_by_phones(search.phones)
        if len(found) > 1:
            raise InvalidRequest.field("inviter", "Give the phone with + and its country code.")
        if found:
            return found[0].id
        if search.invite_code is not None:
            inviter = await user_queries.find_by_invite_code(search.invite_code)
            if inviter is not None:
                return inviter.id
    raise InvalidRequest.field("inviter", "Give the invite code, phone or id of a user.")
