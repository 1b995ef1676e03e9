"""Sign-out by an app (OpenID Connect RP-Initiated Logout 1.0).

Only an app that has the person's ID token may sign them out without a question. Otherwise a link on
any site could sign out everybody who follows it.
"""

from __future__ import annotations

from urllib.parse import urlencode
from uuid import UUID

import msgspec
from msgspec import Struct

from referral import observability
from referral.context import Caller, Context
from referral.core import seal
from referral.core.keys import Purpose
from referral.openid import clients, id_token, queries, redirect_uri, request_token
from referral.openid.authorization_request import MAX_STATE_LENGTH
from referral.openid.errors import InvalidRequest
from referral.openid.parameters import Parameters
from referral.service import sessions
from referral.service.access import Authenticated


class LogoutRequest(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A checked request.

    user_id, session_id: those of the `id_token_hint`. uri: the `post_logout_redirect_uri`; None
    without a hint. expires_at: Unix seconds.
    """

    user_id: str | None = None
    session_id: str | None = None
    uri: str | None = None
    state: str | None = None
    expires_at: int = 0

    @property
    def url(self) -> str | None:
        """The URL to send the browser to afterwards: the URI with `state`."""
        if self.uri is None or self.state is None:
            return self.uri
        return redirect_uri.with_parameters(self.uri, urlencode({"state": self.state}))


async def begin(ctx: Context, parameters: Parameters) -> LogoutRequest:
    """Check the parameters with which an app sends a person here, and return the request.

    Raises InvalidRequest: nobody may be redirected then.
    """
    parameters.check()
    hint_text, client_id = parameters.get("id_token_hint"), parameters.get("client_id")
    uri = parameters.get("post_logout_redirect_uri")
    state = parameters.get("state", max_length=MAX_STATE_LENGTH)
    hint = None
    if hint_text is not None:
        keys = await ctx.signing_keys.published(ctx)
        hint = id_token.read_hint(hint_text, issuer=ctx.issuer.url, keys=keys)
        if hint is None:
            raise InvalidRequest("The id_token_hint must be an ID token of this service.")
        if client_id not in {None, hint.aud}:
            raise InvalidRequest("The client_id must be the aud of the id_token_hint.")
        client_id = hint.aud
    client = await queries.find_client(client_id) if client_id is not None else None
    if client_id is not None and client is None:
        raise InvalidRequest("The client_id is not that of a registered client.")
    if uri is not None and client is not None:
        registered = clients.uris(client.post_logout_redirect_uris)
        if not redirect_uri.is_registered(uri, registered):
            raise InvalidRequest("Register the post_logout_redirect_uri for this client first.")
    if hint is None:
        return LogoutRequest()
    return LogoutRequest(user_id=hint.sub, session_id=hint.sid, uri=uri, state=state)


def encrypt(ctx: Context, request: LogoutRequest) -> str:
    """Return the request's token, valid for 15 minutes from now."""
    expires_at = int(ctx.clock().timestamp()) + request_token.LIFE_SECONDS
    renewed = msgspec.structs.replace(request, expires_at=expires_at)
    return request_token.encrypt(renewed, ctx.keys.current(Purpose.LOGOUT_REQUEST))


def decrypt(ctx: Context, token: str) -> LogoutRequest:
    """Return the request of a token. Raises InvalidRequest if it is invalid or has expired."""
    keys = ctx.keys.all(Purpose.LOGOUT_REQUEST)
    unusable = InvalidRequest("Go back to the app and sign out from there again.")
    try:
        request = request_token.decrypt(token, keys, LogoutRequest)
    except seal.BadToken:
        raise unusable from None
    if ctx.clock().timestamp() >= request.expires_at:
        raise unusable
    return request


async def end_hinted(ctx: Context, request: LogoutRequest, *, caller: Caller) -> None:
    """End the app's session that the hint names, if it has not ended yet."""
    if request.user_id is None or request.session_id is None:
        return
    user_id = UUID(request.user_id)
    if await sessions.end_one(ctx, UUID(request.session_id), user_id=user_id):
        observability.record("signed_out", caller=caller, user=user_id)


def needs_question(request: LogoutRequest, signed_in: Authenticated) -> bool:
    """Return whether to ask before the browser's session is ended: its user is not the hint's."""
    return str(signed_in.user.id) != request.user_id
