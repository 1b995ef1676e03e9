"""Clients: the team's own apps, which sign people in. There is no consent page for them."""

from __future__ import annotations

from collections.abc import Sequence
from time import monotonic

from msgspec import Struct

from referral import audit
from referral.context import COMMAND, Actor, Context
from referral.core.errors import InvalidRequest, NotFound
from referral.core.tokens import Grant
from referral.openid import client_rules, queries, redirect_uri, scope
from referral.openid.errors import InvalidClient
from referral.service import access
from referral.storage import database
from referral.storage import sessions as session_queries
from referral.storage.models import Client
from referral.webhooks import events

_READ_AGAIN_SECONDS = 2


class Registration(Struct, frozen=True, kw_only=True):
    """The properties of a new client. Its texts are unchecked."""

    name: str
    redirect_uris: Sequence[str]
    post_logout_redirect_uris: Sequence[str] = ()
    is_public: bool = False
    without_pkce: bool = False
    account_allowed: bool = False
    audience: str | None = None


async def create(
    ctx: Context, registration: Registration, *, by: Actor = COMMAND
) -> tuple[Client, str | None]:
    """Create a client. Return it and its secret, which is shown only once and not stored.

    A public client has no secret. Raises SignInAgain, InvalidRequest.
    """
    access.require_fresh(ctx, by)
    if registration.is_public and registration.without_pkce:
        raise InvalidRequest.field(
            "without_pkce", "A public client needs PKCE: nothing else protects its codes."
        )
    secret = None if registration.is_public else client_rules.new_secret(ctx.token_bytes)
    client = _parse(ctx, registration, secret)

    async def work() -> None:
        if not await queries.add_client(client):
            raise InvalidRequest.field(
                "name", "There is a client with this name already. Choose another name."
            )
        await audit.record(ctx, "client_made", by=by, client=client.name)

    await database.transaction(work)
    return client, secret


async def list_all() -> list[Client]:
    """Return all clients, the oldest first."""
    return await queries.all_clients()


async def get(text: str) -> Client:
    """Return the client with this id or name. Raises NotFound."""
    client = None
    # PostgreSQL cannot compare a text with a null character
    if text.isprintable():
        client = await queries.find_client(text) or await queries.find_client_by_name(text)
    if client is None:
        raise NotFound("There is no client with this id or name: see `referral client list`.")
    return client


async def rotate(ctx: Context, text: str, *, by: Actor = COMMAND) -> str:
    """Make another secret for a client and return it. The previous one stays valid too.

    text: its id or name. Raises SignInAgain, NotFound, InvalidRequest.
    """
    access.require_fresh(ctx, by)
    secret = client_rules.new_secret(ctx.token_bytes)

    async def work() -> None:
        client = await _confidential(text)
        await queries.set_secrets(
            client.id, current=client_rules.digest(secret), previous=client.secret_digest
        )
        await audit.record(ctx, "client_secret_rotated", by=by, client=client.name)

    await database.transaction(work)
    return secret


async def finish_rotation(ctx: Context, text: str, *, by: Actor = COMMAND) -> None:
    """Revoke a client's previous secret. text: its id or name.

    Raises SignInAgain, NotFound, InvalidRequest.
    """
    access.require_fresh(ctx, by)

    async def work() -> None:
        client = await _confidential(text)
        if client.previous_secret_digest is None:
            raise InvalidRequest.field("client", "This client has only one secret.")
        await queries.set_secrets(client.id, current=client.secret_digest or "", previous=None)
        await audit.record(ctx, "client_rotation_finished", by=by, client=client.name)

    await database.transaction(work)


async def delete(ctx: Context, text: str, *, by: Actor = COMMAND) -> Client:
    """Delete a client and end all of its sessions. text: its id or name.

    Raises SignInAgain, NotFound.
    """
    access.require_fresh(ctx, by)

    async def work() -> Client:
        # From here on none of its codes can be exchanged
        client = await _locked(text)
        ended = await session_queries.end_of_client(client.id)
        await events.add_sessions_ended(ctx, ended, reason="client_deleted")
        await queries.remove_client(client.id)
        await audit.record(ctx, "client_deleted", by=by, client=client.name)
        return client

    return await database.transaction(work)


async def authenticate(client_id: str, secret: str | None) -> Client:
    """Return the client that these credentials belong to. secret: None for a public client.

    Raises InvalidClient.
    """
    client = await queries.find_client(client_id)
    if client is None:
        raise InvalidClient("The client_id is not that of a registered client.")
    if client.is_public:
        if secret is not None:
            raise InvalidClient("A public client has no secret: send none.")
        return client
    if secret is None:
        raise InvalidClient("Send the client secret, by HTTP Basic or in the form.")
    digests = (client.secret_digest, client.previous_secret_digest)
    if not client_rules.secret_matches(secret, digests):
        raise InvalidClient("The client secret is wrong. To make another: referral client rotate.")
    return client


def grant(ctx: Context, client: Client, scopes: tuple[str, ...]) -> Grant:
    """Return the client, audience and scopes of an access token."""
    audience = client.audience or client.id
    if scope.ACCOUNT in scopes:
        audience = ctx.issuer.audience
    return Grant(client_id=client.id, audience=audience, scopes=scopes)


def scopes(client: Client) -> tuple[str, ...]:
    """Return the scopes that a client may request."""
    return scope.allowed(account_allowed=client.account_allowed)


def secret_count(client: Client) -> int:
    """Return how many secrets are valid: two until a rotation is finished."""
    return sum(each is not None for each in (client.secret_digest, client.previous_secret_digest))


def uris(text: str) -> list[str]:
    """Split a column of a client that has a URI on each line."""
    return text.split("\n") if text else []


class PublicOrigins:
    """The origins of public clients' redirect URIs, whose pages may call the token endpoint."""

    def __init__(self) -> None:
        self._origins: frozenset[str] = frozenset()
        self._read_at = -float(_READ_AGAIN_SECONDS)

    async def has(self, origin: str) -> bool:
        """Return whether this is such an origin. Reads the clients again every few seconds."""
        if monotonic() - self._read_at >= _READ_AGAIN_SECONDS:
            columns = await queries.public_redirect_uris()
            found = {redirect_uri.origin(each) for text in columns for each in uris(text)}
            self._origins = frozenset(each for each in found if each is not None)
            self._read_at = monotonic()
        return origin in self._origins


def _parse(ctx: Context, registration: Registration, secret: str | None) -> Client:
    """Return a client to add. Raises InvalidRequest."""
    return Client(
        id=client_rules.new_id(ctx.token_bytes),
        name=client_rules.parse_name(registration.name),
        redirect_uris="\n".join(
            client_rules.parse_uris(registration.redirect_uris, "redirect_uri", required=True)
        ),
        post_logout_redirect_uris="\n".join(
            client_rules.parse_uris(
                registration.post_logout_redirect_uris, "post_logout_redirect_uri", required=False
            )
        ),
        is_public=registration.is_public,
        requires_pkce=not registration.without_pkce,
        account_allowed=registration.account_allowed,
        audience=client_rules.parse_audience(registration.audience, own=ctx.issuer.audience),
        secret_digest=None if secret is None else client_rules.digest(secret),
        created_at=ctx.clock(),
    )


async def _locked(text: str) -> Client:
    """Return a client, locked until the transaction ends. Raises NotFound."""
    client = await get(text)
    await queries.lock_client(client.id, to_change=True)
    # It may have been changed or deleted before the lock
    return await get(client.id)


async def _confidential(text: str) -> Client:
    """Return a client that has a secret, locked. Raises NotFound, InvalidRequest."""
    client = await _locked(text)
    if client.is_public:
        raise InvalidRequest.field("client", "A public client has no secret.")
    return client
