"""Parsers of single variables.

Each raises ValueError if the text is wrong. The error says what is expected and never repeats the
text, which may be a password.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, timedelta
from typing import TypeVar
from urllib.parse import urlsplit

import phonenumbers

from referral.core import phone as phones
from referral.core.challenge import MAX_CODE_LENGTH
from referral.core.errors import Refusal
from referral.core.keys import MIN_SECRET_BYTES
from referral.core.phone import FixedCode, PhoneRules
from referral.storage.configuration import sqlite_file
from referral.webhooks import signature

T = TypeVar("T")

_MAX_TEXT = 500
_MAX_SENTENCE = 200
# A production secret with fewer different bytes was probably typed by hand
_MIN_DISTINCT_BYTES = 10
_MAX_TEST_PHONE_LIFE = timedelta(days=90)
# Placeholders in the documentation, which people have to replace with their own values
_PLACEHOLDER = re.compile(r"([A-Z]+_)*(SID|TOKEN|KEY|SECRET|PASSWORD)|WHAT_\w+_PRINTS|.*\.{3}")
_LIST_SEPARATORS, _URL_SEPARATORS = r",\s*", r"[,:/@?&=\s]+"
# Not file: its origin is `null`, which every sandboxed frame has too
_APP_ORIGIN = re.compile(r"(?!file:)[a-z][a-z0-9+.-]*://[a-z0-9._-]+(:[0-9]{1,5})?")
_ORIGIN = re.compile(r"https?://([a-z0-9._-]+|\[[0-9a-f:.]+\])(:[0-9]{1,5})?/?")


def one_of(*choices: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in choices:
            raise ValueError("must be one of " + ", ".join(choices))
        return text

    return parse


def no_placeholder(parse: Callable[[str], T]) -> Callable[[str], T]:
    """Make a parser refuse the documentation's placeholders. For texts separated by commas."""
    return _refusing_placeholders(parse, _LIST_SEPARATORS)


def no_placeholder_in_url(parse: Callable[[str], T]) -> Callable[[str], T]:
    """Make a parser refuse the documentation's placeholders in any component of a URL."""
    return _refusing_placeholders(parse, _URL_SEPARATORS)


def waits(text: str) -> tuple[int, ...]:
    """Parse waits in seconds, separated by commas."""
    return tuple(integer(0, 86_400)(item.strip()) for item in text.split(","))


def integer(minimum: int, maximum: int) -> Callable[[str], int]:
    """Make a parser of integers within these bounds."""

    def parse(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,12}", text) or not minimum <= int(text) <= maximum:
            raise ValueError(f"must be a whole number from {minimum} to {maximum}")
        return int(text)

    return parse


def database_url(text: str) -> str:
    if text.startswith("sqlite://"):
        if not sqlite_file(text) or ":memory:" in text:
            raise ValueError(
                "must name a file, such as sqlite://referral.sqlite3 or sqlite:///var/db"
            )
        return text
    if not text.startswith(("postgres://", "postgresql://")):
        raise ValueError("must start with sqlite://, postgres:// or postgresql://")
    try:
        parts = urlsplit(text)
        # With several hosts, each has a port of its own, which asyncpg parses
        is_valid = "," in parts.netloc or parts.port != 0
    except ValueError:  # its message repeats a part of the value
        is_valid = False
    if not is_valid:
        raise ValueError(
            "the port is not valid; in a password, write / as %2F, : as %3A, @ as %40, [ as %5B"
        )
    return text


def secrets(*, strict: bool) -> Callable[[str], tuple[bytes, ...]]:
    """Make a parser of secrets to derive keys from.

    strict: refuse secrets that were probably typed by hand.
    """

    def parse(text: str) -> tuple[bytes, ...]:
        try:
            secrets = tuple(dict.fromkeys(item.encode() for item in _items(text)))
        except UnicodeEncodeError:
            raise ValueError("must be UTF-8 text; `referral secret new` prints one") from None
        if not secrets:
            raise ValueError("contains no secret; `referral secret new` prints one")
        for secret in secrets:
            if len(secret) < MIN_SECRET_BYTES:
                raise ValueError(
                    f"each secret must have at least {MIN_SECRET_BYTES} bytes; "
                    "`referral secret new` prints one"
                )
            if strict and len(set(secret)) < _MIN_DISTINCT_BYTES:
                raise ValueError("too easy to guess; use one that `referral secret new` prints")
        return secrets

    return parse


def regions(text: str) -> frozenset[str]:
    """Parse country codes, separated by commas."""
    regions = frozenset(region(item) for item in _items(text))
    if not regions:
        raise ValueError("must be country codes of two letters, such as DE,FR")
    return regions


def region(text: str) -> str:
    """Parse a country code of two letters (ISO 3166-1)."""
    region = text.upper()
    if region not in phonenumbers.SUPPORTED_REGIONS:
        raise ValueError("must be a country code of two letters, such as DE")
    return region


def test_phones(today: date) -> Callable[[str], dict[str, FixedCode]]:
    """Make a parser of test phones. Their fixed codes expire on a day at most 90 days ahead."""

    def parse(text: str) -> dict[str, FixedCode]:
        return dict(_test_phone(item, today) for item in _items(text))

    return parse


def origins(text: str) -> tuple[str, ...]:
    """Parse origins as browsers send them, separated by commas.

    An app may have a scheme of its own, such as capacitor://localhost.
    """
    return tuple(_origin(item) for item in _items(text))


def _origin(text: str) -> str:
    if text.lower().startswith(("http:", "https:")):
        return public_url(text)
    if not _APP_ORIGIN.fullmatch(text.lower()):
        raise ValueError(
            "must be origins, such as https://app.example.com or capacitor://localhost"
        )
    return text.lower()


def public_url(text: str) -> str:
    """Parse an origin and write it as browsers do (RFC 6454, section 6.1)."""
    parts = urlsplit(web_url(text))
    if not _ORIGIN.fullmatch(text.lower()):
        raise ValueError("must be scheme and host only, such as https://referral.example.com")
    default = {"http": 80, "https": 443}[parts.scheme]
    return f"{parts.scheme}://{parts.netloc.lower().removesuffix(f':{default}')}"


def invite_url(text: str) -> str:
    if "{code}" not in text:
        raise ValueError("must be a URL with {code} in the place of the invite code")
    web_url(text)
    return text


def webhook_url(*, production: bool) -> Callable[[str], str]:
    """Make a parser of the webhook URL. Production requires https, except on this machine."""

    def parse(text: str) -> str:
        parts = urlsplit(web_url(text))
        if production and parts.scheme != "https" and parts.hostname not in signature.LOOPBACK:
            raise ValueError("use https://; http:// is for development and for 127.0.0.1")
        if parts.fragment:
            raise ValueError("must not contain #: the part after it is never sent")
        # Imported only if needed: it imports httpx, which takes 4 MB and 30 ms
        from referral.webhooks import client  # noqa: PLC0415 - the comment above

        client.check(text)
        return text

    return parse


def web_url(text: str) -> str:
    printable(text)
    try:
        parts = urlsplit(text)
        is_valid = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:  # the host or the port is not valid; the message repeats the value
        is_valid = False
    if not is_valid or re.search(r"\s", text):
        raise ValueError("must be a URL that starts with https:// or http://")
    return text


def printable(text: str) -> str:
    if len(text) > _MAX_TEXT or not text.isprintable():
        raise ValueError(f"must be at most {_MAX_TEXT} printable characters")
    return text


def sentence(text: str) -> str:
    if len(text) > _MAX_SENTENCE or not text.isprintable():
        raise ValueError(f"must be one sentence of at most {_MAX_SENTENCE} printable characters")
    return text


def webhook_secrets(text: str) -> tuple[str, ...]:
    secrets = tuple(dict.fromkeys(_items(text)))
    if not secrets or not all(signature.is_secret(secret) for secret in secrets):
        raise ValueError(
            "must be whsec_ and the base64 of at least 24 random bytes, several separated by "
            "commas; `echo whsec_$(openssl rand -base64 32)` makes one"
        )
    return secrets


def _test_phone(item: str, today: date) -> tuple[str, FixedCode]:
    match = re.fullmatch(rf"(\+[0-9]+)=([0-9]{{{MAX_CODE_LENGTH}}})@([0-9-]{{10}})", item)
    if match is None:
        raise ValueError("write it as +79990000001=12345678@2027-01-31, with a code of 8 digits")
    try:
        phone, until = phones.parse(match[1], PhoneRules()), date.fromisoformat(match[3])
    except (Refusal, ValueError):
        raise ValueError("a phone or a date is not valid; correct it") from None
    if until > today + _MAX_TEST_PHONE_LIFE:
        raise ValueError(f"the date must be at most {_MAX_TEST_PHONE_LIFE.days} days ahead")
    return phone, FixedCode(code=match[2], until=until)


def _refusing_placeholders(parse: Callable[[str], T], separators: str) -> Callable[[str], T]:
    def checked(text: str) -> T:
        if any(_PLACEHOLDER.fullmatch(piece) for piece in re.split(separators, text)):
            raise ValueError(
                "still contains the documentation's placeholder; replace it with your own value"
            )
        return parse(text)

    return checked


def _items(text: str) -> list[str]:
    return [item.strip() for item in text.split(",") if item.strip()]
