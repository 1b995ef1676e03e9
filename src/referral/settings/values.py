"""From the text of one variable to its value.

What cannot be right raises ValueError, whose text says what is, and repeats nothing of it: it may
be a password.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, timedelta
from typing import TypeVar
from urllib.parse import urlsplit

import phonenumbers

from referral.core import phone as phones
from referral.core.challenge import LONGEST_CODE
from referral.core.errors import Refusal
from referral.core.keys import SHORTEST_SECRET_BYTES
from referral.core.phone import FixedCode, Rules
from referral.storage.configuration import sqlite_file
from referral.webhooks import signature

T = TypeVar("T")

_LONGEST_TEXT = 500
_LEAST_DISTINCT_BYTES = 10
_LONGEST_TEST = timedelta(days=90)
# How the documentation writes what an operator puts in
_PLACEHOLDER = re.compile(r"([A-Z]+_)*(SID|TOKEN|KEY|SECRET|PASSWORD)|WHAT_\w+_PRINTS|.*\.{3}")
_IN_A_LIST, _IN_A_URL = r",\s*", r"[,:/@?&=\s]+"
# A file's origin is `null`, which every sandboxed frame has too
_APP_ORIGIN = re.compile(r"(?!file:)[a-z][a-z0-9+.-]*://[a-z0-9._-]+(:[0-9]{1,5})?")
_ORIGIN = re.compile(r"https?://([a-z0-9._-]+|\[[0-9a-f:.]+\])(:[0-9]{1,5})?/?")


def one_of(*choices: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in choices:
            raise ValueError("one of " + ", ".join(choices))
        return text

    return parse


def secret(parse: Callable[[str], T]) -> Callable[[str], T]:
    """A value that holds secrets, several perhaps. Refuses what the documentation has there."""
    return _filled_in(parse, _IN_A_LIST)


def secret_url(parse: Callable[[str], T]) -> Callable[[str], T]:
    """A URL, or several, with secrets in it. Refuses what the documentation has there."""
    return _filled_in(parse, _IN_A_URL)


def waits(text: str) -> tuple[int, ...]:
    """Seconds, in their order."""
    return tuple(number(0, 86_400)(item.strip()) for item in text.split(","))


def number(least: int, most: int) -> Callable[[str], int]:
    """A whole number within these bounds."""

    def parse(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,12}", text) or not least <= int(text) <= most:
            raise ValueError(f"a whole number from {least} to {most}")
        return int(text)

    return parse


def database_url(text: str) -> str:
    if text.startswith("sqlite://"):
        if not sqlite_file(text) or ":memory:" in text:
            raise ValueError("name a file, as in sqlite://referral.sqlite3 or sqlite:///var/db")
        return text
    if not text.startswith(("postgres://", "postgresql://")):
        raise ValueError("a URL that starts with sqlite://, postgres:// or postgresql://")
    try:
        parts = urlsplit(text)
        # Several hosts have a port each, which asyncpg reads
        whole = "," in parts.netloc or parts.port != 0
    except ValueError:  # whose text repeats a piece of the value
        whole = False
    if not whole:
        raise ValueError(
            "the port is none; in a password, write / as %2F, : as %3A, @ as %40, [ as %5B"
        )
    return text


def secrets(*, strict: bool) -> Callable[[str], tuple[bytes, ...]]:
    """Secrets long enough to make keys of. strict: whether one that looks typed is refused."""

    def parse(text: str) -> tuple[bytes, ...]:
        try:
            secrets = tuple(dict.fromkeys(item.encode() for item in _items(text)))
        except UnicodeEncodeError:
            raise ValueError("not UTF-8 text; `referral secret new` makes one") from None
        if not secrets:
            raise ValueError("there is none in it")
        for secret in secrets:
            if len(secret) < SHORTEST_SECRET_BYTES:
                raise ValueError(
                    f"at least {SHORTEST_SECRET_BYTES} bytes each; `referral secret new` makes one"
                )
            if strict and len(set(secret)) < _LEAST_DISTINCT_BYTES:
                raise ValueError("too easy to guess; `referral secret new` makes a good one")
        return secrets

    return parse


def regions(text: str) -> frozenset[str]:
    """Several countries."""
    regions = frozenset(region(item) for item in _items(text))
    if not regions:
        raise ValueError("two letters each, such as DE,FR")
    return regions


def region(text: str) -> str:
    """A country, in the letters of ISO 3166."""
    region = text.upper()
    if region not in phonenumbers.SUPPORTED_REGIONS:
        raise ValueError("two letters of a country, such as DE")
    return region


def test_phones(today: date) -> Callable[[str], dict[str, FixedCode]]:
    """Phones whose code is known, each until a day not far from today."""

    def parse(text: str) -> dict[str, FixedCode]:
        return dict(_test_phone(item, today) for item in _items(text))

    return parse


def origins(text: str) -> tuple[str, ...]:
    """Origins, as browsers send them; of web pages, and of apps with a scheme of their own, such as
    capacitor://localhost.
    """
    return tuple(_origin(item) for item in _items(text))


def _origin(text: str) -> str:
    if text.lower().startswith(("http:", "https:")):
        return public_url(text)
    if not _APP_ORIGIN.fullmatch(text.lower()):
        raise ValueError("origins, such as https://app.example.com or capacitor://localhost")
    return text.lower()


def public_url(text: str) -> str:
    """An origin, as browsers write it (RFC 6454, section 6.1)."""
    parts = urlsplit(web_url(text))
    if not _ORIGIN.fullmatch(text.lower()):
        raise ValueError("scheme and host alone, such as https://referral.example.com")
    default = {"http": 80, "https": 443}[parts.scheme]
    return f"{parts.scheme}://{parts.netloc.lower().removesuffix(f':{default}')}"


def invite_url(text: str) -> str:
    if "{code}" not in text:
        raise ValueError("a URL with {code} where the invite code goes")
    web_url(text)
    return text


def webhook_url(*, production: bool) -> Callable[[str], str]:
    """Where events may go: in production over https, or within the machine."""

    def parse(text: str) -> str:
        parts = urlsplit(web_url(text))
        if production and parts.scheme != "https" and parts.hostname not in signature.LOOPBACK:
            raise ValueError("http:// is for development and for 127.0.0.1; use https://")
        if parts.fragment:
            raise ValueError("a URL without #, behind which nothing is sent")
        # It imports httpx: 4 MB and 30 ms
        from referral.webhooks import client  # noqa: PLC0415 - as said

        client.check(text)
        return text

    return parse


def web_url(text: str) -> str:
    printable(text)
    try:
        parts = urlsplit(text)
        whole = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:  # of a host or a port that is none; its text repeats the value
        whole = False
    if not whole or re.search(r"\s", text):
        raise ValueError("a URL that starts with https:// or http://")
    return text


def printable(text: str) -> str:
    if len(text) > _LONGEST_TEXT or not text.isprintable():
        raise ValueError(f"at most {_LONGEST_TEXT} printable characters")
    return text


def webhook_secrets(text: str) -> tuple[str, ...]:
    secrets = tuple(dict.fromkeys(_items(text)))
    if not secrets or not all(signature.is_secret(secret) for secret in secrets):
        raise ValueError(
            "whsec_ and the base64 of at least 24 random bytes, several separated by commas: "
            "`echo whsec_$(openssl rand -base64 32)` makes one"
        )
    return secrets


def _test_phone(item: str, today: date) -> tuple[str, FixedCode]:
    form = re.fullmatch(rf"(\+[0-9]+)=([0-9]{{{LONGEST_CODE}}})@([0-9-]{{10}})", item)
    if form is None:
        raise ValueError("written as +79990000001=12345678@2027-01-31, a code of 8 digits")
    try:
        phone, until = phones.parse(form[1], Rules()), date.fromisoformat(form[3])
    except (Refusal, ValueError):
        raise ValueError("a phone that is no phone, or a date that is no date") from None
    if until > today + _LONGEST_TEST:
        raise ValueError(f"at most {_LONGEST_TEST.days} days ahead")
    return phone, FixedCode(code=form[2], until=until)


def _filled_in(parse: Callable[[str], T], separators: str) -> Callable[[str], T]:
    def parse_filled_in(text: str) -> T:
        if any(_PLACEHOLDER.fullmatch(piece) for piece in re.split(separators, text)):
            raise ValueError("the documentation's placeholder is still in it; put your own value")
        return parse(text)

    return parse_filled_in


def _items(text: str) -> list[str]:
    return [item.strip() for item in text.split(",") if item.strip()]
