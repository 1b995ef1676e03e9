"""Request tokens: an app's request, encrypted, in the URLs of the pages.

Requests are not stored. A checked request is encrypted, and each page passes the token on in the
URLs of its links and forms.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import TypeVar

import msgspec
from msgspec import Struct

from referral.core import seal
from referral.core.keys import Key

LIFE_SECONDS = 15 * 60

_MAX_LENGTH = 16 * 1024

AnyRequest = TypeVar("AnyRequest", bound=Struct)


def encrypt(request: Struct, key: Key) -> str:
    """Return the token of a request."""
    # Compressed, because base64url makes it longer by a third, and proxies limit URLs
    payload = zlib.compress(msgspec.json.encode(request), level=9)
    return seal.encrypt(payload, key, padded_to=None)


def decrypt(token: str, keys: Sequence[Key], request_type: type[AnyRequest]) -> AnyRequest:
    """Return the request of a token. Raises seal.BadToken."""
    payload = seal.decrypt(token, keys, max_length=_MAX_LENGTH)
    try:
        return msgspec.json.decode(zlib.decompress(payload), type=request_type)
    except (zlib.error, msgspec.DecodeError):
        raise seal.BadToken("not a request of this version") from None
