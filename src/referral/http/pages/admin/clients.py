"""Manage clients, the team's apps: list, create, rotate secrets, delete."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeAlias

from litestar import Response, get, post
from litestar.params import FromPath
from litestar.response import Redirect

from referral.context import Actor, Context
from referral.core.errors import InvalidRequest, NotFound
from referral.http import problems
from referral.http.pages import flash, forms, render
from referral.http.pages.admin import reasons
from referral.http.requests import AdminRequest, context
from referral.openid import clients
from referral.openid.clients import Registration

PATH = "/admin/clients"

_FIELDS = ("name", "redirect_uri", "post_logout_redirect_uri", "kind", "account", "audience")
_PUBLIC, _WITHOUT_PKCE = "public", "without_pkce"


@get("/clients", include_in_schema=False)
async def list_clients(request: AdminRequest) -> Response[str]:
    return render.page(
        request,
        "admin/clients.html",
        clients=await clients.list_all(),
        uris=clients.uris,
        scopes=clients.scopes,
        secret_count=clients.secret_count,
        issuer=context(request).issuer.url,
    )


@post("/clients", opt=forms.on(PATH, "client", *_FIELDS), include_in_schema=False)
async def create(request: AdminRequest) -> Redirect:
    """Create a client. The flash cookie carries its secret to the next page, shown only once."""
    fields = await forms.read(request)
    registration = Registration(
        name=fields.get("name", ""),
        redirect_uris=fields.get("redirect_uri", "").split(),
        post_logout_redirect_uris=fields.get("post_logout_redirect_uri", "").split(),
        is_public=fields.get("kind") == _PUBLIC,
        without_pkce=fields.get("kind") == _WITHOUT_PKCE,
        account_allowed="account" in fields,
        audience=fields.get("audience"),
    )
    try:
        client, secret = await clients.create(context(request), registration, by=request.user)
    except InvalidRequest as refusal:
        field = refusal.members["errors"][0]["field"]
        values = {name: fields[name] for name in _FIELDS if name in fields}
        return flash.refused(
            request,
            PATH,
            refusal,
            form="client",
            field=field,
            values=values,
            code=f"invalid_client_{field}",
        )
    return _show_secret(request, "client_made", client.id, secret or "")


@post(
    "/clients/{client_id:str}/{action:str}",
    opt=forms.on(PATH, "client_action", reasons.FIELD),
    include_in_schema=False,
)
async def act(request: AdminRequest, client_id: FromPath[str], action: FromPath[str]) -> Redirect:
    """Rotate or delete a client: see _ACTIONS. Raises NotFound."""
    if action not in _ACTIONS:
        raise NotFound(reason="no such action")
    return await _ACTIONS[action](request, context(request), client_id, reasons.actor(request))


HANDLERS = [list_clients, create, act]


async def _rotate(request: AdminRequest, ctx: Context, client_id: str, by: Actor) -> Redirect:
    secret = await clients.rotate(ctx, client_id, by=by)
    return _show_secret(request, "client_rotated", client_id, secret)


async def _finish(request: AdminRequest, ctx: Context, client_id: str, by: Actor) -> Redirect:
    await clients.finish_rotation(ctx, client_id, by=by)
    return flash.notice(request, PATH, "client_rotation_finished")


async def _delete(request: AdminRequest, ctx: Context, client_id: str, by: Actor) -> Redirect:
    try:
        await clients.delete(ctx, client_id, by=by)
    except NotFound as refusal:
        # Another request deleted it first
        problems.log_refusal(request, refusal)
    return flash.notice(request, PATH, "client_deleted")


def _show_secret(request: AdminRequest, code: str, client_id: str, secret: str) -> Redirect:
    """Redirect to the list of clients, which shows the secret once. code: the notice's."""
    values = {"client_id": client_id, "secret": secret}
    return flash.notice(request, PATH, code, form="made", values=values)


_Action: TypeAlias = Callable[[AdminRequest, Context, str, Actor], Awaitable[Redirect]]

_ACTIONS: dict[str, _Action] = {"rotate": _rotate, "finish": _finish, "delete": _delete}
