"""The rules of clients: ids, secrets, and the values that may be registered."""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable, Sequence
from hashlib import sha256
from urllib.parse import urlsplit

from referral.core import seal
from referral.core.errors import InvalidRequest
from referral.openid import redirect_uri

MAX_NAME_LENGTH = 60
MAX_URIS = 20

_ID_BYTES, _SECRET_BYTES = 12, 32
_ID = re.compile(f"[0-9a-f]{{{2 * _ID_BYTES}}}")
_MAX_AUDIENCE_LENGTH = 200


def new_id(token_bytes: Callable[[int], bytes]) -> str:
    """Return a client id, in hex: libraries differ in how they encode other characters."""
    return token_bytes(_ID_BYTES).hex()


def is_id(text: str) -> bool:
    """Return whether a text can be a client id."""
    return bool(_ID.fullmatch(text))


def new_secret(token_bytes: Callable[[int], bytes]) -> str:
    """Return a client secret of 256 bits, in hex."""
    return token_bytes(_SECRET_BYTES).hex()


def digest(secret: str) -> str:
    """Return the digest to store. 256 random bits need neither a salt nor a slow hash."""
    return seal.base64url_encode(sha256(secret.encode()).digest())


def secret_matches(secret: str, digests: Sequence[str | None]) -> bool:
    """Return whether one of the digests is that of the secret."""
    given = digest(secret)
    return any(hmac.compare_digest(given, each) for each in digests if each)


def parse_name(text: str) -> str:
    """Parse the name of the app, which the pages show. Raises InvalidRequest."""
    name = " ".join(text.split())
    if not 0 < len(name) <= MAX_NAME_LENGTH or not name.isprintable():
        raise InvalidRequest.field("name", f"Give 1 to {MAX_NAME_LENGTH} printable characters.")
    return name


def parse_uris(texts: Sequence[str], field: str, *, required: bool) -> list[str]:
    """Parse the URIs to register, and drop repeated ones. Raises InvalidRequest."""
    uris = list(dict.fromkeys(redirect_uri.parse(text.strip(), field) for text in texts))
    if required and not uris:
        raise InvalidRequest.field(field, "Give at least one URI.")
    if len(uris) > MAX_URIS:
        raise InvalidRequest.field(field, f"Give at most {MAX_URIS} URIs.")
    return uris


def parse_audience(text: str | None, *, own: str) -> str | None:
    """Parse the `aud` of a client's access tokens; None or blank for the client's id.

    own: the audience of the API's own tokens, which is refused. Raises InvalidRequest.
    """
    audience = (text or "").strip()
    if not audience:
        return None
    if len(audience) > _MAX_AUDIENCE_LENGTH or not audience.isascii() or " " in audience:
        raise InvalidRequest.field(
            "audience", f"Give a URI of at most {_MAX_AUDIENCE_LENGTH} characters."
        )
    if audience == own:
        raise InvalidRequest.field(
            "audience",
            "This is the audience of the service itself: use the scope account for its API.",
        )
    if not urlsplit(audience).scheme:
        raise InvalidRequest.field("audience", "Give a URI, such as https://api.example.")
    return audience
