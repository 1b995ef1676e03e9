"""Sign-out by an app (OpenID Connect RP-Initiated Logout 1.0).

An app's own ID token is needed to sign somebody out without a question: a link of a stranger's,
with the stranger's token or none, must not.
"""

from __future__ import annotations

import zlib
from datetime import datetime
from urllib.parse import urlencode
from uuid import UUID

import msgspec
from msgspec import Struct

from referral import observability
from referral.context import Caller, Context
from referral.core import seal
from referral.core.keys import Purpose
from referral.openid import clients, id_token, queries, redirect_uri
from referral.openid.authorization_request import LIFE_SECONDS, MAX_STATE_LENGTH
from referral.openid.errors import InvalidRequest
from referral.openid.parameters import Parameters
from referral.service import sessions
from referral.service.access import Authenticated

_MAX_SEALED_LENGTH = 16 * 1024


class LogoutRequest(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A checked request. user_id, session_id: of the `id_token_hint`. uri: where to go afterwards,
    only with a hint. expires_at: Unix seconds.
    """

    user_id: str | None = None
    session_id: str | None = None
    uri: str | None = None
    state: str | None = None
    expires_at: int = 0

    @property
    def url(self) -> str | None:
        """Where the browser has to go afterwards."""
        if self.uri is None or self.state is None:
            return self.uri
        return redirect_uri.with_parameters(self.uri, urlencode({"state": self.state}))


async def begin(ctx: Context, parameters: Parameters) -> LogoutRequest:
    """Return the request that an app sends a person with.

    Raises InvalidRequest: then nothing may be redirected.
    """
    parameters.check()
    hint_text, client_id = parameters.get("id_token_hint"), parameters.get("client_id")
    uri, state = parameters.get("post_logout_redirect_uri"), parameters.get("state")
    if state is not None and len(state) > MAX_STATE_LENGTH:
        raise InvalidRequest(f"The parameter state has more than {MAX_STATE_LENGTH} characters.")
    hint = None
    if hint_text is not None:
        keys = await ctx.signing_keys.published(ctx)
        hint = id_token.read_hint(hint_text, issuer=ctx.issuer.url, keys=keys)
        if hint is None:
            raise InvalidRequest("The id_token_hint is not an ID token of this service.")
        if client_id not in {None, hint.aud}:
            raise InvalidRequest("The client_id is not that of the id_token_hint.")
        client_id = hint.aud
    client = await queries.find_client(client_id) if client_id is not None else None
    if client_id is not None and client is None:
        raise InvalidRequest("There is no such client.")
    if uri is not None and client is not None:
        registered = clients.uris(client.post_logout_redirect_uris)
        if not redirect_uri.is_registered(uri, registered):
            raise InvalidRequest("The post_logout_redirect_uri is not registered.")
    if hint is None:
        return LogoutRequest()
    return LogoutRequest(user_id=hint.sub, session_id=hint.sid, uri=uri, state=state)


def encrypt(ctx: Context, request: LogoutRequest) -> str:
    """Return the sealed request for the URLs of the pages, valid for 15 minutes."""
    sealed = msgspec.structs.replace(
        request, expires_at=int(ctx.clock().timestamp()) + LIFE_SECONDS
    )
    payload = zlib.compress(msgspec.json.encode(sealed), level=9)
    return seal.encrypt(payload, ctx.keys.current(Purpose.LOGOUT_REQUEST), padded_to=None)


def decrypt(ctx: Context, token: str) -> LogoutRequest:
    """Return the request of a sealed token. Raises InvalidRequest."""
    keys = ctx.keys.all(Purpose.LOGOUT_REQUEST)
    try:
        payload = zlib.decompress(seal.decrypt(token, keys, max_length=_MAX_SEALED_LENGTH))
        request = msgspec.json.decode(payload, type=LogoutRequest)
    except (seal.BadToken, zlib.error, msgspec.DecodeError):
        raise InvalidRequest("Go back to the app and sign out from there again.") from None
    if _is_past(request.expires_at, ctx.clock()):
        raise InvalidRequest("Go back to the app and sign out from there again.")
    return request


async def end_hinted(ctx: Context, request: LogoutRequest, *, caller: Caller) -> None:
    """End the app's session that the hint names, if it has not ended yet."""
    if request.user_id is None or request.session_id is None:
        return
    user_id = UUID(request.user_id)
    if await sessions.end_one(ctx, UUID(request.session_id), user_id=user_id):
        observability.record("signed_out", caller=caller, user=user_id)


def needs_question(request: LogoutRequest, signed_in: Authenticated | None) -> bool:
    """Return whether the browser's session may be ended only if its user says so."""
    return signed_in is not None and str(signed_in.user.id) != request.user_id


def _is_past(seconds: int, now: datetime) -> bool:
    return now.timestamp() >= seconds
