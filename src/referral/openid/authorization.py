"""Authorization: check an app's request, let the person sign in, and send a code to the app."""

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
from referral.openid.decision import BrowserUser, Step
from referral.openid.errors import ErrorPage, ErrorRedirect, InvalidRequest, OAuthError
from referral.openid.parameters import Parameters
from referral.service.access import Authenticated
from referral.storage.models import Client


async def begin(ctx: Context, parameters: Parameters) -> tuple[AuthorizationRequest, Client]:
    """Check the parameters with which an app sends a person here. Return the request and client.

    Raises ErrorPage if the client or its redirect URI is wrong, and ErrorRedirect for other errors.
    """
    client = await _client_of_parameters(parameters)
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
        raise ErrorRedirect(url, error, app_name=client.name) from None
    return request, client


def encrypt(ctx: Context, request: AuthorizationRequest) -> str:
    """Return the request's token for the URLs of the pages, valid for 15 minutes from now."""
    return authorization_request.encrypt(request, now=ctx.clock(), keys=ctx.keys)


async def resume(ctx: Context, token: str) -> tuple[AuthorizationRequest, Client]:
    """Return the request of a token, and its client.

    Raises ErrorPage, and ErrorRedirect if the token has expired.
    """
    try:
        request = authorization_request.decrypt(token, now=ctx.clock(), keys=ctx.keys)
    except InvalidRequest:
        raise ErrorPage("request") from None
    except authorization_request.Expired as expired:
        client = await _client_of_request(expired.request)
        error = OAuthError(
            "access_denied", "The sign-in took longer than 15 minutes. Start it again."
        )
        url = _error_url_of_request(ctx, expired.request, error)
        raise ErrorRedirect(url, error, app_name=client.name) from None
    return request, await _client_of_request(request)


def next_step(
    ctx: Context,
    request: AuthorizationRequest,
    signed_in: Authenticated | None,
    *,
    app_name: str,
) -> Step:
    """Return the next step for the person. Raises ErrorRedirect."""
    person = None
    if signed_in is not None:
        person = BrowserUser(
            user_id=str(signed_in.user.id),
            phone=signed_in.user.phone or "",
            session_id=str(signed_in.session_id),
            authenticated_at=signed_in.signed_in_at,
        )
    try:
        return decision.next_step(request, person, now=ctx.clock())
    except OAuthError as error:
        url = _error_url_of_request(ctx, request, error)
        raise ErrorRedirect(url, error, app_name=app_name) from None


async def code_url(ctx: Context, request: AuthorizationRequest, signed_in: Authenticated) -> str:
    """Return the redirect URI with a new authorization code.

    Call this only if `next_step` has returned SEND_BACK for this person. Raises ErrorPage.
    """
    await _client_of_request(request)
    code = authorization_code.issue(
        request,
        user_id=str(signed_in.user.id),
        phone=signed_in.user.phone or "",
        session_id=str(ids.new(ctx.token_bytes)),
        browser_session_id=str(signed_in.session_id),
        now=ctx.clock(),
        keys=ctx.keys,
    )
    return _response_url(ctx, request.redirect_uri, request.state, code=code)


def denied_url(ctx: Context, request: AuthorizationRequest, description: str) -> str:
    """Return the redirect URI with `access_denied`: the person does not sign in."""
    return _error_url_of_request(ctx, request, OAuthError("access_denied", description))


def _error_url(ctx: Context, uri: str, state: str | None, error: OAuthError) -> str:
    """Return a redirect URI with an error (RFC 6749, section 4.1.2.1)."""
    return _response_url(ctx, uri, state, error=error.error, error_description=error.description)


def _error_url_of_request(ctx: Context, request: AuthorizationRequest, error: OAuthError) -> str:
    return _error_url(ctx, request.redirect_uri, request.state, error)


def _response_url(ctx: Context, uri: str, state: str | None, **parameters: str) -> str:
    """Return a redirect URI with the parameters of an authorization response.

    `iss` protects an app with several providers from mixing them up (RFC 9207).
    """
    if state is not None:
        parameters["state"] = state
    return redirect_uri.with_parameters(uri, urlencode({**parameters, "iss": ctx.issuer.url}))


async def _client_of_parameters(parameters: Parameters) -> Client:
    """Return the client that the parameters name. Raises ErrorPage."""
    try:
        client_id, uri = parameters.get("client_id"), parameters.get("redirect_uri")
    except InvalidRequest:
        raise ErrorPage("twice") from None
    return await _find_client(client_id or "", uri or "")


async def _client_of_request(request: AuthorizationRequest) -> Client:
    """Return a request's client, unless it or its redirect URI was removed. Raises ErrorPage."""
    return await _find_client(request.client_id, request.redirect_uri)


async def _find_client(client_id: str, uri: str) -> Client:
    """Return a client and require that the redirect URI is one of its own. Raises ErrorPage."""
    client = await queries.find_client(client_id)
    if client is None:
        raise ErrorPage("client")
    if not redirect_uri.is_registered(uri, clients.uris(client.redirect_uris)):
        raise ErrorPage("redirect_uri")
    return client


async def _hinted_user(ctx: Context, client: Client, parameters: Parameters) -> str | None:
    """Return the user of the `id_token_hint`. Raises InvalidRequest."""
    text = parameters.get("id_token_hint")
    if text is None:
        return None
    keys = await ctx.signing_keys.published(ctx)
    hint = id_token.read_hint(text, issuer=ctx.issuer.url, keys=keys)
    if hint is None or hint.aud != client.id:
        raise InvalidRequest(
            "The id_token_hint must be an ID token that was issued to this client."
        )
    return hint.sub
