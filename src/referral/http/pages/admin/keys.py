"""API keys: made, shown once, ended."""

from __future__ import annotations

from urllib.parse import quote, unquote

from litestar import Response, get, post
from litestar.params import FromPath
from litestar.response import Redirect

from referral.core.errors import InvalidRequest, NotFound
from referral.http import problems
from referral.http.pages import browser_session, flash, forms, render
from referral.http.requests import AdminRequest, context
from referral.service import api_keys

PATH = "/admin/keys"


@get("/keys", include_in_schema=False)
async def list_keys(request: AdminRequest) -> Response[str]:
    keys = [(key, in_path(key.name)) for key in await api_keys.all_keys()]
    return render.page(request, "admin/keys.html", keys=keys)


@post("/keys", opt=forms.on(PATH, "key", "name"), include_in_schema=False)
async def make(request: AdminRequest) -> Redirect:
    """The new key goes to the next page in the cookie of what is said once."""
    name = (await forms.read(request)).get("name", "")
    # Whoever finds a browser open must not take away a key that never ends
    await browser_session.require_fresh(request)
    try:
        key = await api_keys.make(context(request), name, by=request.user)
    except InvalidRequest as refusal:
        return flash.refused(
            request,
            PATH,
            refusal,
            form="key",
            field="name",
            values={"name": name},
            code="invalid_key_name",
        )
    return flash.notice(request, PATH, "key_made", form="made", values={"name": name, "key": key})


@post("/keys/{name:str}/revoke", opt=forms.on(PATH, "revoke"), include_in_schema=False)
async def revoke(request: AdminRequest, name: FromPath[str]) -> Redirect:
    try:
        await api_keys.revoke(context(request), unquote(name), by=request.user)
    except NotFound as refusal:
        # Ended already, which is what was wanted
        problems.record(request, refusal)
    return flash.notice(request, PATH, "key_revoked")


HANDLERS = [list_keys, make, revoke]


def in_path(name: str) -> str:
    """A key's name, in which any sign may stand, as one segment of a path.

    Quoted twice: servers undo it once, before they look for slashes, and browsers read a segment
    of two dots, quoted once or not, as the way up.
    """
    return quote(quote(name, safe="").replace(".", "%2E"), safe="")
