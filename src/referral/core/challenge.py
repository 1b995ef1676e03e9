"""The challenge: a code sent to a phone, without a table of codes.

The server seals what it has to remember into a token and hands it to the client: the phone, a
salted, keyed digest of the code, the purpose, an id, the expiry. Only this server opens it, and
whoever has it learns nothing of the code. What a sealed token cannot do is count: how often a
challenge was guessed at, and whether it was used, stands in the database under the challenge's
id, which comes from inside the seal.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable
from datetime import datetime

import msgspec

from referral.core import seal
from referral.core.errors import ChallengeExpired, ChallengeInvalid, InvalidRequest
from referral.core.keys import Keyring, Purpose
from referral.core.proof import Proof
from referral.core.text import BLANK, to_ascii_digits

MIN_CODE_LENGTH, MAX_CODE_LENGTH = 4, 8
MAX_CODE_TEXT_LENGTH = 1000  # characters: of a message that is pasted whole

_DIGITS = re.compile("[0-9]+")
# Spaces, dashes of every kind, and characters that nobody sees, such as direction marks
_BETWEEN_DIGITS = re.compile(
    rf"[-\u02d7\u2010-\u2015\u2043\u207b\u2212\u2e3a\u2e3b\ufe58\ufe63\uff0d]|{BLANK.pattern}"
)
_ID_BYTES = _SALT_BYTES = 16


class Challenge(msgspec.Struct, frozen=True, kw_only=True):
    """What a challenge token carries.

    id, salt: base64url of 16 bytes. digest: base64url of 32. expires_at: Unix seconds.
    code_length: digits. user_id: whose phone changes, for that purpose. known_device: which of
    the phone's two budgets it counts against. as_stranger: for a known device, see budgets.Subject.
    address: from where it was asked for. proof: what its code proves.
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
    proof: Proof


def new_code(length: int, randbelow: Callable[[int], int]) -> str:
    """`length` random digits. `randbelow(n)` gives an unpredictable number from 0 to n - 1."""
    return f"{randbelow(10**length):0{length}}"


def parse_code(text: str, length: int) -> str:
    """Read the code that somebody typed, or pasted with the whole message around it.

    One text is one code, chosen without a look at the right one: the digits, if there are no
    others than spaces and dashes between them; else those after the last `#`, where the message
    has them for browsers; else the only run of `length` digits. Raises InvalidRequest.
    """
    if len(text) > MAX_CODE_TEXT_LENGTH:
        raise InvalidRequest.field("code", f"At most {MAX_CODE_TEXT_LENGTH} characters.")
    plain = to_ascii_digits(text)
    code = _BETWEEN_DIGITS.sub("", plain)
    if not _DIGITS.fullmatch(code):
        after_mark = _DIGITS.match(plain, plain.rfind("#") + 1) if "#" in plain else None
        fitting = [run for run in _DIGITS.findall(plain) if len(run) == length]
        code = after_mark[0] if after_mark else (fitting[0] if len(fitting) == 1 else "")
    if len(code) != length:
        raise InvalidRequest.field("code", f"Must be the {length} digits that were sent.")
    return code


def issue(  # noqa: PLR0913 - what a challenge carries
    *,
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
    proof: Proof,
) -> str:
    """The challenge token for a code. life: seconds; token_bytes(n): n unpredictable bytes."""
    challenge_id = seal.base64url_encode(token_bytes(_ID_BYTES))
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
        proof=proof,
    )
    return seal.encrypt(msgspec.json.encode(challenge), keys.current(purpose))


def decrypt(token: str, *, purpose: Purpose, now: datetime, keys: Keyring) -> Challenge:
    """The challenge inside a token. Raises ChallengeInvalid, ChallengeExpired."""
    try:
        payload = seal.decrypt(token, keys.all(purpose))
        challenge = msgspec.json.decode(payload, type=Challenge)
    except (seal.BadToken, msgspec.ValidationError) as error:  # the latter: of another release
        raise ChallengeInvalid(reason=str(error)) from None
    if now.timestamp() >= challenge.expires_at:
        raise ChallengeExpired
    return challenge


def code_matches(challenge: Challenge, code: str, *, keys: Keyring) -> bool:
    """Whether this is the code that was sent. Tell nobody before the guess is judged."""
    return any(
        hmac.compare_digest(
            challenge.digest, _digest(code, challenge.id, challenge.salt, key.secret)
        )
        for key in keys.all(Purpose.CODE)
    )


def _digest(code: str, challenge_id: str, salt: str, key: bytes) -> str:
    return seal.base64url_encode(
        hmac.digest(key, f"{challenge_id}.{salt}.{code}".encode(), "sha256")
    )
