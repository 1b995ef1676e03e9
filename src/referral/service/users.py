"""Users, as those who administer see them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated
from uuid import UUID

from msgspec import UNSET, Meta, Struct, UnsetType

from referral.context import Actor, Context
from referral.core import cursor as cursors
from referral.core import phone as phones
from referral.core import search as searches
from referral.core.errors import InvalidPhone, InvalidRequest, NotFound, UnsupportedPhone
from referral.core.phone import PhoneRules
from referral.service import access, admins, audit, deletion, phone_moves, sessions
from referral.storage import database, invitations, users
from referral.storage.database import Row
from referral.storage.models import User

_PHONES_AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class Misread:
    """A user whose phone is read as another one, or as none.

    read_as: None if it cannot be a phone here. other: the user who has that phone.
    """

    user_id: UUID
    phone: str
    read_as: str | None
    other: UUID | None


class UserView(Struct, frozen=True, kw_only=True):
    """A user who is not deleted."""

    id: Annotated[str, Meta(examples=["9b2d3c1e-4f5a-4e6b-8c7d-0a1b2c3d4e5f"])]
    phone: Annotated[str, Meta(description="E.164", examples=["+79991234567"])]
    name: Annotated[str | None, Meta(examples=["Anna"])]
    email: Annotated[str | None, Meta(examples=["anna@example.com"])]
    invite_code: Annotated[str, Meta(examples=["7KQ2MX"])]
    activated_invite_code: Annotated[str | None, Meta(examples=["P0V3RT"])]
    invitee_count: Annotated[int, Meta(examples=[1])]
    is_admin: Annotated[bool, Meta(description="Whether they may use these operations.")]
    is_blocked: bool
    created_at: Annotated[datetime, Meta(examples=["2026-01-31T12:00:00Z"])]
    last_sign_in_at: Annotated[datetime, Meta(examples=["2026-01-31T12:00:00Z"])]


class UserPage(Struct, frozen=True, kw_only=True):
    items: list[UserView]
    next_cursor: str | None


class InviteeView(Struct, frozen=True, kw_only=True):
    """Somebody who activated a user's code."""

    id: Annotated[str, Meta(examples=["9b2d3c1e-4f5a-4e6b-8c7d-0a1b2c3d4e5f"])]
    phone: Annotated[
        str, Meta(description="E.164: the phone they have now.", examples=["+79990000002"])
    ]
    name: Annotated[str | None, Meta(examples=["Boris"])]
    activated_at: Annotated[datetime, Meta(examples=["2026-01-31T12:00:00Z"])]


class InviteeViewPage(Struct, frozen=True, kw_only=True):
    items: list[InviteeView]
    next_cursor: str | None


async def page(
    ctx: Context,
    *,
    search: str | None,
    cursor: str | None,
    limit: int,
    rules: PhoneRules | None = None,
) -> UserPage:
    """Users, newest first, all or those that a search fits. Raises InvalidRequest.

    rules: how the page reads a phone, if not as the API does.
    """
    after = cursors.parse(cursor) if cursor is not None else None
    wanted = None
    if search is not None:
        wanted = searches.parse(search, rules or ctx.phone_rules, invite_url=ctx.invite_url)
    rows, next_cursor = await users.page(wanted, after=after, limit=limit)
    return UserPage(items=[_view(ctx, row) for row in rows], next_cursor=next_cursor)


async def get(ctx: Context, user_id: UUID) -> UserView:
    """Raises NotFound."""
    row = await users.find_row(user_id)
    if row is None:
        raise _no_such_user()
    return _view(ctx, row)


async def find(ctx: Context, text: str) -> UserView:
    """The user of an id or a phone, however it is spelt; first the one whose phone is this text.

    Raises NotFound, InvalidPhone, UnsupportedPhone, and InvalidRequest if it may mean several.
    """
    try:
        return await get(ctx, UUID(text))
    except ValueError:
        pass
    found = await users.find_by_phones(phones.spellings(text, ctx.phone_rules))
    chosen = [user for user in found if user.phone == text.strip()] or found
    if not chosen:
        phones.parse(text, ctx.phone_rules.unrestricted)
        raise NotFound("There is no user with this phone.")
    if len(chosen) > 1:
        ids = ", ".join(f"{user.id} ({user.phone})" for user in chosen)
        raise InvalidRequest.field("user", f"this may mean several; name one by id: {ids}")
    return await get(ctx, chosen[0].id)


async def misread(ctx: Context) -> AsyncIterator[Misread]:
    """The users whose phone, read again, is another one or none: no code reaches them."""
    async for page in users.iterate_phones(_PHONES_AT_ONCE):
        for user_id, phone in page:
            try:
                read = phones.parse(phone, ctx.phone_rules.unrestricted)
            except (InvalidPhone, UnsupportedPhone):
                yield Misread(user_id, phone, None, None)
                continue
            if read != phone:
                other = await users.find_by_phone(read)
                yield Misread(user_id, phone, read, other.id if other else None)


async def phones_of(user_ids: Iterable[UUID]) -> dict[str, str]:
    """Of those who are not deleted, by their ids."""
    found = await users.find_all(set(user_ids))
    return {str(user_id): user.phone for user_id, user in found.items() if user.phone}


async def change(
    ctx: Context,
    user_id: UUID,
    *,
    is_blocked: bool | UnsetType = UNSET,
    is_admin: bool | UnsetType = UNSET,
    by: Actor,
) -> UserView:
    """Set what is given. Blocking ends all sessions at once.

    Raises SignInAgain, NotFound, InvalidRequest, and Forbidden for who can be no administrator and
    for the last one.
    """
    access.require_fresh(ctx, by)
    if is_blocked is UNSET and is_admin is UNSET:
        raise InvalidRequest.field("", "Give `is_blocked`, `is_admin` or both.")

    async def work() -> None:
        await users.lock_admins()
        user = await _find(user_id)
        if is_admin is True:
            admins.require_eligible(ctx, user.phone)
        if is_admin is False or is_blocked is True:
            await admins.require_another(ctx, user, by=by)
        values: dict[str, bool] = {}
        done = []
        if is_blocked is not UNSET and is_blocked != user.is_blocked:
            values["is_blocked"] = is_blocked
            done.append("user_blocked" if is_blocked else "user_unblocked")
        if is_admin is not UNSET and is_admin != user.is_admin:
            values["is_admin"] = is_admin
            done.append("admin_granted" if is_admin else "admin_revoked")
        if not values:
            return
        if not await users.set_fields(user_id, **values):
            raise NotFound(reason="deleted just now")
        if values.get("is_blocked"):
            await sessions.end_everywhere(user_id)
        await audit.record(ctx, *done, by=by, user=user_id)

    await database.transaction(work)
    return await get(ctx, user_id)


async def change_phone(ctx: Context, user_id: UUID, text: str, *, by: Actor) -> UserView:
    """Move an account to another phone, and end its sessions. No message is sent.

    Raises NotFound, InvalidPhone, UnsupportedPhone, PhoneTaken, and Forbidden for the last
    administrator.
    """
    phone = phones.parse(text, ctx.phone_rules)

    async def work() -> None:
        await users.lock_admins()
        await invitations.lock(changed=user_id)
        user = await _find(user_id)
        if user.phone == phone:
            return
        if phone in ctx.test_phones:
            await admins.require_another(ctx, user, by=by)
        await phone_moves.move_within(ctx, user, phone, now=ctx.clock())
        await sessions.end_everywhere(user_id)
        await audit.record(ctx, "phone_changed", by=by, user=user_id)

    await database.transaction(work)
    return await get(ctx, user_id)


async def delete(ctx: Context, user_id: UUID, *, by: Actor) -> None:
    """As the user's own deletion.

    Raises SignInAgain, NotFound, and Forbidden for the last administrator.
    """
    access.require_fresh(ctx, by)
    await deletion.delete(ctx, user_id, by=by)


async def invitees(user_id: UUID, *, cursor: str | None, limit: int) -> InviteeViewPage:
    """Those who activated a user's code, newest first. Raises NotFound, InvalidRequest."""
    after = cursors.parse(cursor) if cursor is not None else None
    await _find(user_id)
    rows, next_cursor = await invitations.page(user_id, after=after, limit=limit)
    return InviteeViewPage(
        items=[
            InviteeView(
                id=row["id"],
                phone=row["phone"],
                name=row["name"],
                activated_at=row["activated_at"],
            )
            for row in rows
        ],
        next_cursor=next_cursor,
    )


async def _find(user_id: UUID) -> User:
    user = await users.find(user_id)
    if user is None:
        raise _no_such_user()
    return user


def _no_such_user() -> NotFound:
    return NotFound("There is no user of this id.", reason="no such user")


def _view(ctx: Context, row: Row) -> UserView:
    return UserView(
        id=row["id"],
        phone=row["phone"],
        name=row["name"],
        email=row["email"],
        invite_code=row["invite_code"],
        activated_invite_code=row["activated_invite_code"],
        invitee_count=row["invitee_count"],
        is_admin=row["is_admin"] and admins.is_proof(ctx, row["phone"]),
        is_blocked=row["is_blocked"],
        created_at=row["created_at"],
        last_sign_in_at=row["last_sign_in_at"],
    )
