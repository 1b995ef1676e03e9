"""Challenges: codes sent to phones, without a table of codes.

The server remembers a code in an encrypted token that the client keeps and sends back: the phone,
a salted, keyed digest of the code, the purpose, an id, the expiry. Only the server can decrypt it,
so its holder learns nothing about the code; and because the digest is keyed, even a decrypted token
does not let anybody search the 10,000 codes of four digits.

A token cannot count. The number of wrong guesses, and whether the challenge was used, are stored in
the database under the challenge's id. The id is encrypted in the token, so a client cannot choose
it, and every copy of a token shares one budget of guesses.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable
from datetime import datetime

import msgspec

from referral.core import seal
from referral.core.channels import Channel
from referral.core.errors import ChallengeExpired, ChallengeInvalid, InvalidRequest
from referral.core.keys import Keyring, Purpose
from referral.core.proof import Proof
from referral.core.text import BLANK, to_ascii_digits

MIN_CODE_LENGTH, MAX_CODE_LENGTH = 4, 8
MAX_CODE_TEXT_LENGTH = 1000  # characters, for people who paste the whole message

_DIGITS = re.compile("[0-9]+")
# Spaces, dashes of every kind, and invisible characters such as direction marks
_BETWEEN_DIGITS = re.compile(
    rf"[-\u02d7\u2010-\u2015\u2043\u207b\u2212\u2e3a\u2e3b\ufe58\ufe63\uff0d]|{BLANK.pattern}"
)
_ID_BYTES = _SALT_BYTES = 16


class Challenge(msgspec.Struct, frozen=True, kw_only=True):
    """The content of a challenge token.

    id, salt: base64url of 16 bytes. digest: base64url of 32 bytes. expires_at: Unix seconds.
    code_length: digits. user_id: the user who changes phone, for that purpose only. known_device:
    which of the phone's two sets of budgets guesses are charged to. as_stranger: whether the limits
    by address and the cost guard apply to a known device, as to a stranger's. address: the client's
    when it requested the code. shared_device: the digest of another phone that has signed in on the
    device, only for the flag `same_device`. proof: how the code, once entered, proves the phone.
    channel: the one that the code went by. channel_is_tentative: later channels may have been
    tried; the one that took the code is recorded in a counter.
    """

    id: str
    purpose: Purpose
    phone: str
    salt: str
    digest: str
    code_length: int
    expires_at: int
    user_id: str | None = None
    known_device: bool = False
    as_stranger: bool = False
    address: str = ""
    shared_device: str = ""
    proof: Proof
    channel: Channel = Channel.SMS
    channel_is_tentative: bool = False


def new_id(token_bytes: Callable[[int], bytes]) -> str:
    """Return the id of a new challenge. token_bytes(n) returns n unpredictable bytes."""
    return seal.base64url_encode(token_bytes(_ID_BYTES))


def new_code(length: int, randbelow: Callable[[int], int]) -> str:
    """Return `length` random digits. randbelow(n) returns an unpredictable number below n."""
    return f"{randbelow(10**length):0{length}}"


def parse_code(text: str, length: int) -> str:
    """Parse a code of `length` digits that somebody typed, or pasted with the whole message.

    The code is chosen without a comparison with the right one, so that one request is one
    guess: all digits of the text, if it has only spaces and dashes besides; else the digits after
    the last `#`, where messages repeat the code for browsers; else the only run of `length` digits.
    Raises InvalidRequest.
    """
    if len(text) > MAX_CODE_TEXT_LENGTH:
        raise InvalidRequest.field("code", f"Enter at most {MAX_CODE_TEXT_LENGTH} characters.")
    plain = to_ascii_digits(text)
    code = _BETWEEN_DIGITS.sub("", plain)
    if not _DIGITS.fullmatch(code):
        after_mark = _DIGITS.match(plain, plain.rfind("#") + 1) if "#" in plain else None
        fitting = [run for run in _DIGITS.findall(plain) if len(run) == length]
        code = after_mark[0] if after_mark else (fitting[0] if len(fitting) == 1 else "")
    if len(code) != length:
        raise InvalidRequest.field("code", f"Enter the {length} digits of the message.")
    return code


def issue(  # noqa: PLR0913 - one argument for each thing that a challenge carries
    *,
    challenge_id: str,
    purpose: Purpose,
    phone: str,
    code: str,
    life: int,
    now: datetime,
    keys: Keyring,
    token_bytes: Callable[[int], bytes],
    user_id: str | None = None,
    known_device: bool = False,
    as_stranger: bool = False,
    address: str = "",
    shared_device: str = "",
    proof: Proof,
    channel: Channel = Channel.SMS,
    channel_is_tentative: bool = False,
) -> str:
    """Return the challenge token for a code.

    challenge_id: a new one. life: seconds. token_bytes(n) returns n unpredictable bytes. The rest:
    see Challenge.
    """
    salt = seal.base64url_encode(token_bytes(_SALT_BYTES))
    challenge = Challenge(
        id=challenge_id,
        purpose=purpose,
        phone=phone,
        salt=salt,
        digest=_digest(code, challenge_id, salt, keys.current(Purpose.CODE).secret),
        code_length=len(code),
        expires_at=int(now.timestamp()) + life,
        user_id=user_id,
        known_device=known_device,
        as_stranger=as_stranger,
        address=address,
        shared_device=shared_device,
        proof=proof,
        channel=channel,
        channel_is_tentative=channel_is_tentative,
    )
    return seal.encrypt(msgspec.json.encode(challenge), keys.current(purpose))


def decrypt(token: str, *, purpose: Purpose, now: datetime, keys: Keyring) -> Challenge:
    """Return the challenge inside a token. Raises ChallengeInvalid, ChallengeExpired."""
    try:
        payload = seal.decrypt(token, keys.all(purpose))
        challenge = msgspec.json.decode(payload, type=Challenge)
    except (seal.BadToken, msgspec.ValidationError) as error:  # the latter: of another release
        raise ChallengeInvalid(reason=str(error)) from None
    if now.timestamp() >= challenge.expires_at:
        raise ChallengeExpired
    return challenge


def code_matches(challenge: Challenge, code: str, *, keys: Keyring) -> bool:
    """Return whether this code was sent. Do not reveal the result before the guess is judged."""
    return any(
        hmac.compare_digest(
            challenge.digest, _digest(code, challenge.id, challenge.salt, key.secret)
        )
        for key in keys.all(Purpose.CODE)
    )


def _digest(code: str, challenge_id: str, salt: str, key: bytes) -> str:
    message = f"{challenge_id}.{salt}.{code}".encode()
    return seal.base64url_encode(hmac.digest(key, message, "sha256"))
