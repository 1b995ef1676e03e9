"""Users: a page for each user with their invitees, and the actions on a user."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, TypeAlias
from uuid import UUID

from litestar import Response, get, post
from litestar.params import FromPath, QueryParameter
from litestar.response import Redirect

from referral import audit as audit_trail
from referral.context import Actor, Context
from referral.core import ids
from referral.core.errors import Forbidden, NotFound
from referral.http.pages import flash, forms, render
from referral.http.pages.admin import audit, reasons
from referral.http.requests import AdminRequest, context
from referral.rewards import entry_lists
from referral.service import deletion, invitations, trees, users

PATH = "/admin/users"

_NEWEST_ENTRIES = 10

Cursor = Annotated[str | None, QueryParameter()]


@get("/users/{user_id:str}", include_in_schema=False)
async def show_user(
    request: AdminRequest, user_id: FromPath[str], cursor: Cursor = None
) -> Response[str]:
    """Show one user. Raises NotFound or InvalidRequest."""
    found = ids.parse(user_id)
    user, tree = await users.get(context(request), found), await trees.page(found, cursor=cursor)
    entries = await audit_trail.page(user=user.id, cursor=None, limit=_NEWEST_ENTRIES)
    return render.page(
        request,
        "admin/user.html",
        user=user,
        balances=await entry_lists.balances(context(request), found),
        tree=tree,
        is_first=cursor is None,
        entries=entries.items,
        has_more_entries=entries.next_cursor is not None,
        actions=audit.ACTIONS,
        phones=await audit.phones(entries.items),
    )


@post(
    "/users/{user_id:str}/{action:str}",
    opt=forms.on(f"{PATH}/{{user_id}}", "user", reasons.FIELD),
    include_in_schema=False,
)
async def act(request: AdminRequest, user_id: FromPath[str], action: FromPath[str]) -> Redirect:
    """Do one of _ACTIONS. Raises NotFound if there is no such action.

    For an unknown user, redirect to the user's page, which responds 404.
    """
    if action not in _ACTIONS:
        raise NotFound(reason="no such action")
    do, notice, refusal_code = _ACTIONS[action]
    found = ids.parse(user_id)
    page = f"{PATH}/{found}"
    by = reasons.actor(request)
    try:
        await do(context(request), found, by)
    except (Forbidden, NotFound) as refusal:
        typed = {reasons.FIELD: by.reason or ""}
        return flash.refused(
            request, page, refusal, form="user", field=action, code=refusal_code, values=typed
        )
    return flash.notice(request, PATH if action == "delete" else page, notice)


HANDLERS = [show_user, act]


async def _block(ctx: Context, user_id: UUID, by: Actor) -> None:
    await users.change(ctx, user_id, is_blocked=True, by=by)


async def _unblock(ctx: Context, user_id: UUID, by: Actor) -> None:
    await users.change(ctx, user_id, is_blocked=False, by=by)


async def _grant_admin(ctx: Context, user_id: UUID, by: Actor) -> None:
    await users.change(ctx, user_id, is_admin=True, by=by)


async def _revoke_admin(ctx: Context, user_id: UUID, by: Actor) -> None:
    await users.change(ctx, user_id, is_admin=False, by=by)


async def _delete(ctx: Context, user_id: UUID, by: Actor) -> None:
    await deletion.delete(ctx, user_id, by=by)


async def _void(ctx: Context, user_id: UUID, by: Actor) -> None:
    await invitations.void(ctx, user_id, by=by)


_Action: TypeAlias = Callable[[Context, UUID, Actor], Awaitable[None]]

# Each action, the notice after it, and the code of its refusal; texts.py has the messages of both
_ACTIONS: dict[str, tuple[_Action, str, str]] = {
    "block": (_block, "user_blocked", "last_administrator"),
    "unblock": (_unblock, "user_unblocked", ""),
    "make-admin": (_grant_admin, "admin_granted", "never_administrator"),
    "take-admin": (_revoke_admin, "admin_revoked", "last_administrator"),
    "delete": (_delete, "user_deleted", "last_administrator"),
    "void": (_void, "invite_voided", "no_activation"),
}
