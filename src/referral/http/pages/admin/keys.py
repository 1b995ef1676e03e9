"""API keys: create, show once, revoke."""

from __future__ import annotations

from urllib.parse import quote, unquote

from litestar import Response, get, post
from litestar.params import FromPath
from litestar.response import Redirect

from referral.core.errors import InvalidRequest, NotFound
from referral.http import problems
from referral.http.pages import browser_session, flash, forms, render
from referral.http.pages.admin import reasons
from referral.http.requests import AdminRequest, context
from referral.service import api_keys

PATH = "/admin/keys"

_FIELDS = ("name", "events")


@get("/keys", include_in_schema=False)
async def list_keys(request: AdminRequest) -> Response[str]:
    keys = [(key, in_path(key.name)) for key in await api_keys.list_all()]
    return render.page(request, "admin/keys.html", keys=keys)


@post("/keys", opt=forms.on(PATH, "key", *_FIELDS), include_in_schema=False)
async def make(request: AdminRequest) -> Redirect:
    """Create a key. The flash cookie carries it to the next page, whose template shows it once."""
    fields = await forms.read(request)
    name = fields.get("name", "")
    # Somebody who finds an unlocked browser must not get a key that never expires
    await browser_session.require_fresh(request)
    try:
        key = await api_keys.create(
            context(request), name, events_only="events" in fields, by=request.user
        )
    except InvalidRequest as refusal:
        return flash.refused(
            request,
            PATH,
            refusal,
            form="key",
            field="name",
            values={field: fields[field] for field in _FIELDS if field in fields},
            code="invalid_key_name",
        )
    return flash.notice(request, PATH, "key_made", form="made", values={"name": name, "key": key})


@post(
    "/keys/{name:str}/revoke", opt=forms.on(PATH, "revoke", reasons.FIELD), include_in_schema=False
)
async def revoke(request: AdminRequest, name: FromPath[str]) -> Redirect:
    try:
        await api_keys.revoke(context(request), unquote(name), by=reasons.actor(request))
    except NotFound as refusal:
        # It is revoked already
        problems.log_refusal(request, refusal)
    return flash.notice(request, PATH, "key_revoked")


HANDLERS = [list_keys, make, revoke]


def in_path(name: str) -> str:
    """Quote a key's name, which may have any printable character, as one segment of a path.

    It is quoted twice: servers decode a path once before they split it at slashes, and browsers
    resolve a segment of two dots as the parent folder, even if it is quoted once.
    """
    return quote(quote(name, safe="").replace(".", "%2E"), safe="")
