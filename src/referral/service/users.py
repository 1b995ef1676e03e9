"""Users, as administrators see and change them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated
from uuid import UUID

from msgspec import UNSET, Meta, Struct, UnsetType

from referral import audit
from referral.context import Actor, Context
from referral.core import cursor as cursors
from referral.core import phone as phones
from referral.core.errors import InvalidPhone, InvalidRequest, NotFound, UnsupportedPhone
from referral.rewards import activations
from referral.service import access, admins, sessions
from referral.storage import database
from referral.storage import invitations as invitation_queries
from referral.storage import users as user_queries
from referral.storage.database import Row
from referral.storage.models import User

_BATCH_SIZE = 1000


@dataclass(frozen=True, slots=True)
class MisreadPhone:
    """A user whose phone, typed as it is stored, is parsed as another one or refused.

    read_as: the other phone, or None. other: the user with that phone.
    """

    user_id: UUID
    phone: str
    read_as: str | None
    other: UUID | None


class UserView(Struct, frozen=True, kw_only=True):
    """A user, as shown to administrators."""

    id: Annotated[str, Meta(examples=["9b2d3c1e-4f5a-4e6b-8c7d-0a1b2c3d4e5f"])]
    phone: Annotated[str, Meta(description="E.164", examples=["+79991234567"])]
    name: Annotated[str | None, Meta(examples=["Anna"])]
    email: Annotated[str | None, Meta(examples=["anna@example.com"])]
    invite_code: Annotated[str, Meta(examples=["7KQ2MX"])]
    activated_invite_code: Annotated[str | None, Meta(examples=["P0V3RT"])]
    invitee_count: Annotated[int, Meta(examples=[1])]
    is_admin: Annotated[bool, Meta(description="Whether the user is an administrator.")]
    is_blocked: bool
    created_at: Annotated[datetime, Meta(examples=["2026-01-31T12:00:00Z"])]
    last_sign_in_at: Annotated[datetime, Meta(examples=["2026-01-31T12:00:00Z"])]


class InviteeView(Struct, frozen=True, kw_only=True):
    """An invitee of a user, as shown to administrators."""

    id: Annotated[str, Meta(examples=["9b2d3c1e-4f5a-4e6b-8c7d-0a1b2c3d4e5f"])]
    phone: Annotated[
        str, Meta(description="The current phone, in E.164.", examples=["+79990000002"])
    ]
    name: Annotated[str | None, Meta(examples=["Boris"])]
    activated_at: Annotated[datetime, Meta(examples=["2026-01-31T12:00:00Z"])]


class InviteeViewPage(Struct, frozen=True, kw_only=True):
    items: list[InviteeView]
    next_cursor: str | None


async def get(ctx: Context, user_id: UUID) -> UserView:
    """Return a user who is not deleted. Raises NotFound."""
    row = await user_queries.find_row(user_id)
    if row is None:
        raise _no_such_user()
    return view(ctx, row)


async def require(user_id: UUID, *, include_deleted: bool = False) -> User:
    """Return a user. Raises NotFound if there is none, or if it is deleted.

    The inviter is loaded too, except with include_deleted.
    """
    if include_deleted:
        user = (await user_queries.find_all([user_id])).get(user_id)
    else:
        user = await user_queries.find(user_id)
    if user is None:
        raise _no_such_user()
    return user


async def find(ctx: Context, text: str) -> UserView:
    """Find a user by id or phone. text: as it was typed.

    A user whose phone is exactly this text is preferred. Raises NotFound, and InvalidRequest if the
    text may mean several users.
    """
    try:
        return await get(ctx, UUID(text))
    except ValueError:
        pass
    found = await user_queries.find_by_phones(phones.spellings(text, ctx.phone_rules))
    chosen = [user for user in found if user.phone == text.strip()] or found
    if not chosen:
        raise NotFound(
            "There is no user with this id or phone. Write a phone with + and the country code."
        )
    if len(chosen) > 1:
        ids = ", ".join(f"{user.id} ({user.phone})" for user in chosen)
        raise InvalidRequest.field(
            "user", f"This may mean several users; give the id of one: {ids}"
        )
    return await get(ctx, chosen[0].id)


async def misread_phones(ctx: Context) -> AsyncIterator[MisreadPhone]:
    """Find the users whose phone, typed as it is stored, is parsed as another one or refused.

    They get no sign-in codes.
    """
    async for page in user_queries.iterate_phones(_BATCH_SIZE):
        for user_id, phone in page:
            try:
                read = phones.parse(phone, ctx.phone_rules.unrestricted)
            except (InvalidPhone, UnsupportedPhone):
                yield MisreadPhone(user_id, phone, None, None)
                continue
            if read != phone:
                other = await user_queries.find_by_phone(read)
                yield MisreadPhone(user_id, phone, read, other.id if other else None)


async def phones_of(user_ids: Iterable[UUID | str | None]) -> dict[str, str]:
    """Return the phones of users who are not deleted, by user id. None and "" stand for nobody."""
    ids = {UUID(str(user_id)) for user_id in user_ids if user_id}
    found = await user_queries.find_all(ids)
    return {str(user_id): user.phone for user_id, user in found.items() if user.phone}


async def change(
    ctx: Context,
    user_id: UUID,
    *,
    is_blocked: bool | UnsetType = UNSET,
    is_admin: bool | UnsetType = UNSET,
    by: Actor,
) -> UserView:
    """Set the given fields. Blocking a user ends all their sessions.

    Raises SignInAgain, NotFound, InvalidRequest, and Forbidden for a user who cannot become an
    administrator or is the last one.
    """
    access.require_fresh(ctx, by)
    if is_blocked is UNSET and is_admin is UNSET:
        raise InvalidRequest.field("", "Give `is_blocked`, `is_admin` or both.")

    async def work() -> None:
        await user_queries.lock_admins()
        user = await require(user_id)
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
        if not await user_queries.set_fields(user_id, **values):
            raise NotFound(reason="deleted just now")
        if values.get("is_blocked"):
            await sessions.end_all(ctx, user_id, reason="blocked")
            await activations.blocked(user_id, now=ctx.clock())
        await audit.record(ctx, *done, by=by, user=user_id)

    await database.transaction(work)
    return await get(ctx, user_id)


async def invitees(user_id: UUID, *, cursor: str | None, limit: int) -> InviteeViewPage:
    """Return a page of a user's invitees, newest first. Raises NotFound, InvalidRequest."""
    after = cursors.parse(cursor) if cursor is not None else None
    await require(user_id)
    rows, next_cursor = await invitation_queries.page(user_id, after=after, limit=limit)
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


def view(ctx: Context, row: Row) -> UserView:
    """Return a user from a row of a list."""
    return UserView(
        id=row["id"],
        phone=row["phone"],
        name=row["name"],
        email=row["email"],
        invite_code=row["invite_code"],
        activated_invite_code=row["activated_invite_code"],
        invitee_count=row["invitee_count"],
        is_admin=row["is_admin"] and admins.proves_ownership(ctx, row["phone"]),
        is_blocked=row["is_blocked"],
        created_at=row["created_at"],
        last_sign_in_at=row["last_sign_in_at"],
    )


def _no_such_user() -> NotFound:
    return NotFound("There is no user with this id.", reason="no such user")
