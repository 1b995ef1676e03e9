"""The list of users: search, filters, order, numbers, and the same list as CSV."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Annotated, Any, cast
from urllib.parse import urlencode

import msgspec
from litestar import Response, get
from litestar.params import QueryParameter
from litestar.response import Stream

from referral.core import csv_values
from referral.core.errors import InvalidRequest
from referral.http.pages import flash, phone_field, render
from referral.http.pages.admin import downloads
from referral.http.pages.texts import N_
from referral.http.requests import AdminRequest, context
from referral.service import user_lists
from referral.service.user_lists import Counts, UserFilters, UserPage
from referral.service.users import UserView
from referral.storage.user_lists import Order, Selection

PATH = "/admin/users"

_PAGE_SIZE = 50
_ORDERS: Mapping[Order, str] = {
    "newest": N_("Newest first"),
    "oldest": N_("Oldest first"),
    "most_invitees": N_("Most invited first"),
}
_FIELDS = ("search", "blocked", "admins", "inviter", "from", "to", "order")
_REFUSALS = {"from": "invalid_joined", "to": "invalid_joined"}
_COLUMNS = (
    *("id", "phone", "name", "email", "invite_code", "activated_invite_code"),
    *("invitee_count", "is_admin", "is_blocked", "created_at", "last_sign_in_at"),
)


Cursor = Annotated[str | None, QueryParameter()]


@get("/users", include_in_schema=False)
async def show(request: AdminRequest, cursor: Cursor = None) -> Response[Any]:
    """Show a page of the users whom the query chooses: see _FIELDS."""
    chosen = _chosen(request)
    try:
        selection = await _select(request, chosen)
    except InvalidRequest as refusal:
        if cursor is not None:
            raise
        field = refusal.members["errors"][0]["field"]
        return flash.refused(
            request,
            PATH,
            refusal,
            form="users",
            field=field,
            values=chosen,
            code=_REFUSALS.get(field),
        )
    found = await user_lists.page(context(request), selection, cursor=cursor, limit=_PAGE_SIZE)
    return render.page(
        request,
        "admin/users.html",
        users=found,
        counts=await _count(selection, found) if cursor is None else None,
        max_counted=user_lists.MAX_COUNTED,
        chosen=dict.fromkeys(_FIELDS, "") | chosen,
        query=urlencode(chosen),
        orders=list(_ORDERS.items()),
        is_first=cursor is None,
    )


@get("/users.csv", include_in_schema=False)
async def download(request: AdminRequest) -> Stream:
    """Stream the users that the list shows with these parameters. Raises InvalidRequest."""
    chosen = _chosen(request)
    selection = await _select(request, chosen)
    pages = user_lists.export(context(request), selection, by=request.user)
    return await downloads.csv_file("users.csv", _lines(pages))


HANDLERS = [show, download]


def _chosen(request: AdminRequest) -> dict[str, str]:
    """Return the fields of the form that were filled in, by their names in the URL."""
    given = {name: request.query_params.get(name, "").strip() for name in _FIELDS}
    if given["order"] == "newest":
        del given["order"]
    return {name: text for name, text in given.items() if text}


async def _select(request: AdminRequest, chosen: Mapping[str, str]) -> Selection:
    ctx = context(request)
    order = chosen.get("order", "newest")
    if order not in _ORDERS:
        raise InvalidRequest.field("order", "Give newest, oldest or most_invitees.")
    filters = UserFilters(
        search=chosen.get("search"),
        is_blocked="blocked" in chosen,
        is_admin="admins" in chosen,
        inviter=chosen.get("inviter"),
        first=chosen.get("from"),
        last=chosen.get("to"),
        order=cast("Order", order),
    )
    return await user_lists.select(ctx, filters, rules=phone_field.rules(request, ctx))


async def _count(selection: Selection, found: UserPage) -> Counts:
    """Count the users, but not in the database if they are all on this first page."""
    if found.next_cursor is None:
        blocked = sum(user.is_blocked for user in found.items)
        return Counts(users=len(found.items), blocked=blocked)
    return await user_lists.count(selection)


async def _lines(pages: AsyncIterator[list[UserView]]) -> AsyncIterator[str]:
    header: list[Iterable[object]] = [_COLUMNS]
    async for users in pages:
        rows = ([row[name] for name in _COLUMNS] for row in map(msgspec.to_builtins, users))
        yield csv_values.lines([*header, *rows], for_spreadsheet=True)
        header = []
