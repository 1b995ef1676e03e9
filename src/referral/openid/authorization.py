"""Authorization: an app's request is checked, the person signs in, and the app gets a code."""

from __future__ import annotations

from urllib.parse import urlencode

from referral.context import Context
from referral.core import ids
from referral.openid import (
    authorization_code,
    authorization_request,
    clients,
    decision,
    id_token,
    queries,
    redirect_uri,
)
from referral.openid.authorization_request import AuthorizationRequest
from referral.openid.decision import SignedIn, Step
from referral.openid.errors import InvalidRequest, OAuthError, UnknownApp
from referral.openid.parameters import Parameters
from referral.service.access import Authenticated
from referral.storage.models import Client


class SentBack(Exception):  # noqa: N818 - the outcome of a request, not an error of ours
    """The app gets an error. url: where the browser has to go."""

    def __init__(self, url: str, error: OAuthError, *, app_name: str) -> None:
        super().__init__(error.error)
        self.url = url
        self.error = error
        self.app_name = app_name


async def begin(ctx: Context, parameters: Parameters) -> tuple[AuthorizationRequest, Client]:
    """Return the request that an app sends a person with, and the app.

    Raises UnknownApp, if nothing may be redirected, and SentBack for every other error.
    """
    client = await _client(parameters)
    uri = parameters.require("redirect_uri")
    try:
        request = authorization_request.parse(
            parameters,
            account_allowed=client.account_allowed,
            requires_pkce=client.requires_pkce,
            hinted_user_id=await _hinted_user(ctx, client, parameters),
            phone_rules=ctx.phone_rules,
            now=ctx.clock(),
        )
    except OAuthError as error:
        state = authorization_request.state_to_return(parameters)
        url = _error_url(ctx, uri, state, error)
        raise SentBack(url, error, app_name=client.name) from None
    return request, client


def encrypt(ctx: Context, request: AuthorizationRequest) -> str:
    """Return the sealed request for the URLs of the pages, valid for 15 minutes from now."""
    return authorization_request.encrypt(request, now=ctx.clock(), keys=ctx.keys)


async def resume(ctx: Context, token: str) -> tuple[AuthorizationRequest, Client]:
    """Return the request of a sealed token, and its client.

    Raises UnknownApp, and SentBack if the request has expired.
    """
    try:
        request = authorization_request.decrypt(token, now=ctx.clock(), keys=ctx.keys)
    except InvalidRequest:
        raise UnknownApp("request") from None
    except authorization_request.Expired as expired:
        client = await _registered(expired.request)
        error = OAuthError("access_denied", "The sign-in took longer than 15 minutes.")
        url = _error_url_of(ctx, expired.request, error)
        raise SentBack(url, error, app_name=client.name) from None
    return request, await _registered(request)


def next_step(
    ctx: Context,
    request: AuthorizationRequest,
    signed_in: Authenticated | None,
    *,
    app_name: str,
) -> Step:
    """Return the next step for the person. Raises SentBack."""
    person = None
    if signed_in is not None:
        person = SignedIn(
            user_id=str(signed_in.user.id),
            phone=signed_in.user.phone or "",
            session_id=str(signed_in.session_id),
            authenticated_at=signed_in.signed_in_at,
        )
    try:
        return decision.next_step(request, person, now=ctx.clock())
    except OAuthError as error:
        url = _error_url_of(ctx, request, error)
        raise SentBack(url, error, app_name=app_name) from None


async def grant_url(ctx: Context, request: AuthorizationRequest, signed_in: Authenticated) -> str:
    """Return where the browser has to go with a new authorization code.

    Only after `next_step` was SEND_BACK for this person. Raises UnknownApp.
    """
    await _registered(request)
    code = authorization_code.issue(
        request,
        user_id=str(signed_in.user.id),
        phone=signed_in.user.phone or "",
        session_id=str(ids.new(ctx.token_bytes)),
        browser_session_id=str(signed_in.session_id),
        now=ctx.clock(),
        keys=ctx.keys,
    )
    return _url(ctx, request.redirect_uri, request.state, code=code)


def denied_url(ctx: Context, request: AuthorizationRequest, description: str) -> str:
    """Return where the browser has to go if the person cannot or does not want to sign in."""
    return _error_url_of(ctx, request, OAuthError("access_denied", description))


def _error_url(ctx: Context, uri: str, state: str | None, error: OAuthError) -> str:
    """Return the redirect of an error (RFC 6749, section 4.1.2.1)."""
    return _url(ctx, uri, state, error=error.error, error_description=error.description)


def _error_url_of(ctx: Context, request: AuthorizationRequest, error: OAuthError) -> str:
    return _error_url(ctx, request.redirect_uri, request.state, error)


def _url(ctx: Context, uri: str, state: str | None, **parameters: str) -> str:
    # `iss` lets an app tell apart the services that it uses (RFC 9207)
    given = {**parameters, **({"state": state} if state is not None else {}), "iss": ctx.issuer.url}
    return redirect_uri.with_parameters(uri, urlencode(given))


async def _client(parameters: Parameters) -> Client:
    """Return the client, whose redirect URI is registered. Raises UnknownApp."""
    try:
        client_id, uri = parameters.get("client_id"), parameters.get("redirect_uri")
    except InvalidRequest:
        raise UnknownApp("twice") from None
    return await _require(client_id or "", uri or "")


async def _registered(request: AuthorizationRequest) -> Client:
    """Look up client and redirect URI again: both may have been removed. Raises UnknownApp."""
    return await _require(request.client_id, request.redirect_uri)


async def _require(client_id: str, uri: str) -> Client:
    client = await queries.find_client(client_id)
    if client is None:
        raise UnknownApp("client")
    if not redirect_uri.is_registered(uri, clients.uris(client.redirect_uris)):
        raise UnknownApp("redirect_uri")
    return client


async def _hinted_user(ctx: Context, client: Client, parameters: Parameters) -> str | None:
    """Return the user of the `id_token_hint`. Raises InvalidRequest."""
    text = parameters.get("id_token_hint")
    if text is None:
        return None
    keys = await ctx.signing_keys.published(ctx)
    hint = id_token.read_hint(text, issuer=ctx.issuer.url, keys=keys)
    if hint is None or hint.aud != client.id:
        raise InvalidRequest("The id_token_hint is not an ID token of this client.")
    return hint.sub
