"""The settings: one frozen value, read from environment variables and a `.env` file.

Everything that is wrong is told at once, a line each. A name that starts with REFERRAL_ and is
not read here stops the service: a misspelt limit would be no limit.
"""

from __future__ import annotations

import os
import re
import secrets as randomness
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from datetime import date, timedelta
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import httpx
import phonenumbers
from dotenv import dotenv_values

from referral.core import phone as phones
from referral.core.challenge import LONGEST_CODE, SHORTEST_CODE
from referral.core.errors import Refusal
from referral.core.keys import SHORTEST_SECRET_BYTES
from referral.core.limits import Limits
from referral.core.phone import FixedCode, Rules
from referral.gateways import signature, urls
from referral.storage.configuration import sqlite_file

T = TypeVar("T")

DEVELOPMENT, PRODUCTION = "development", "production"
DEFAULT_DATABASE_URL = "sqlite://referral.sqlite3"
SECRET_SUFFIX = ".secret"  # noqa: S105 - the end of a file name

_PREFIX = "REFERRAL_"
_OTHER_NAMES = {"code_life": "CODE_TTL", "access_life": "ACCESS_TTL"}
_LARGEST = 10**9
_ORIGIN = re.compile(r"https?://([a-z0-9._-]+|\[[0-9a-f:.]+\])(:[0-9]{1,5})?/?")
_MOST_DAYS = 36_500
_LONGEST_TEST = timedelta(days=90)
_LEAST_DISTINCT_BYTES = 10
_LONGEST_TEXT = 500
# Variables in which platforms name the address or the host under which they publish an app
_PLATFORM_URL = "RENDER_EXTERNAL_URL"
_PLATFORM_HOSTS = (
    "RAILWAY_PUBLIC_DOMAIN",
    "KOYEB_PUBLIC_DOMAIN",
    "HEROKU_APP_DEFAULT_DOMAIN_NAME",
)


class SettingsError(Exception):
    """The settings cannot be right. problems: a line each."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        super().__init__("\n".join(problems))


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What an operator can set. README.md lists the variables."""

    environment: str
    database_url: str
    secrets: tuple[bytes, ...]
    sms_urls: tuple[str, ...]
    limits: Limits
    phone_rules: Rules
    test_phones: Mapping[str, FixedCode]
    public_url: str
    audience: str
    invite_url: str
    app_name: str
    terms_url: str | None
    privacy_url: str | None
    cors_origins: tuple[str, ...]
    cost_guard: str
    webhook_url: str | None
    webhook_secrets: tuple[str, ...]
    metrics_token: str | None
    trusted_proxies: int
    host: str
    port: int
    workers: int

    @property
    def in_production(self) -> bool:
        return self.environment == PRODUCTION

    @property
    def sqlite_path(self) -> Path | None:
        """The database's file, where it is one."""
        file = sqlite_file(self.database_url)
        return Path(file) if file is not None else None

    @property
    def is_open_demo(self) -> bool:
        """Whether strangers can sign in as any phone."""
        return self.in_production and self.sending_is_simulated

    @property
    def sending_is_simulated(self) -> bool:
        return urls.is_simulated(self.sms_urls)


def load(*, today: date) -> Settings:
    """From this process's environment and, below it, `.env` in the working folder.

    Raises SettingsError.
    """
    try:
        lines = dotenv_values(".env", interpolate=False)
    except UnicodeDecodeError:
        raise SettingsError([".env: not UTF-8 text"]) from None
    from_file = {name: text for name, text in lines.items() if text is not None}
    return read({**from_file, **os.environ}, today=today)


def read(environ: Mapping[str, str], *, today: date) -> Settings:
    """From these variables. In development a missing secret is made, and kept in a file.

    Raises SettingsError.
    """
    # A variable that is set to nothing is not set
    given = {name: text.strip() for name, text in environ.items() if text.strip()}
    if platform_url := _platform_url(given):
        given.setdefault("REFERRAL_PUBLIC_URL", platform_url)
    reader = _Reader(given)
    settings = _read(reader, given, today)
    reader.finish(environ)
    if settings.secrets:
        return settings
    return replace(settings, secrets=(_development_secret(settings.database_url),))


def names() -> frozenset[str]:
    """The variables that are read."""
    reader = _Reader({})
    _read(reader, {}, date.min)
    return frozenset(reader.known)


def _read(reader: _Reader, environ: Mapping[str, str], today: date) -> Settings:
    production = reader.read("REFERRAL_ENV", _one_of(DEVELOPMENT, PRODUCTION), DEVELOPMENT) == (
        PRODUCTION
    )
    sms_urls = reader.read(
        "REFERRAL_SMS_URL", partial(urls.read, production=production), urls.DEFAULT
    )
    simulated = urls.is_simulated(sms_urls)
    port = reader.read("PORT", _number(1, 65535), 8000)
    public_url = reader.read("REFERRAL_PUBLIC_URL", _public_url, "")
    rules = Rules(
        default_region=reader.read("REFERRAL_DEFAULT_REGION", _region, None),
        allowed=reader.read("REFERRAL_COUNTRIES_ALLOWED", _regions, frozenset()),
        denied=reader.read("REFERRAL_COUNTRIES_DENIED", _regions, frozenset()),
    )
    if production:
        _refuse_in_production(reader, environ, public_url=public_url)
    base_url = public_url or f"http://127.0.0.1:{port}"
    database_url = reader.read("DATABASE_URL", _database_url, DEFAULT_DATABASE_URL)
    return Settings(
        environment=PRODUCTION if production else DEVELOPMENT,
        database_url=database_url,
        secrets=reader.read("REFERRAL_SECRET", _secrets(strict=production), ()),
        sms_urls=sms_urls,
        limits=_limits(reader, _default_limits(simulated=simulated, production=production)),
        phone_rules=rules,
        test_phones=reader.read("REFERRAL_TEST_PHONES", _test_phones(today), {}),
        public_url=base_url,
        audience=reader.read("REFERRAL_AUDIENCE", _text, base_url),
        invite_url=reader.read("REFERRAL_INVITE_URL", _invite_url, base_url + "/i/{code}"),
        app_name=reader.read("REFERRAL_APP_NAME", _text, "Referral"),
        terms_url=reader.read("REFERRAL_TERMS_URL", _web_url, None),
        privacy_url=reader.read("REFERRAL_PRIVACY_URL", _web_url, None),
        cors_origins=reader.read("REFERRAL_CORS_ORIGINS", _origins, ()),
        cost_guard=reader.read(
            "REFERRAL_COST_GUARD",
            _one_of("block", "warn", "off"),
            "off" if simulated else "block",
        ),
        metrics_token=reader.read("REFERRAL_METRICS_TOKEN", _text, None),
        trusted_proxies=reader.read("REFERRAL_TRUSTED_PROXIES", _number(0, 10), 0),
        # In production a platform's proxy comes from outside
        host=reader.read("HOST", _text, "0.0.0.0" if production else "127.0.0.1"),  # noqa: S104
        port=port,
        workers=reader.read("WEB_CONCURRENCY", _number(1, 64), 1),
        **_webhook(reader, production=production),
    )


def secret_file(database_url: str) -> Path:
    """Where development keeps its secret: beside the SQLite file, else in the working folder."""
    return Path((sqlite_file(database_url) or "referral") + SECRET_SUFFIX)


class _Reader:
    """Reads variables one by one and collects what is wrong with them."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self.known: set[str] = set()
        self.problems: list[str] = []

    def read(self, name: str, parse: Callable[[str], T], default: T) -> T:
        """The parsed value; the default where the variable is not set or wrong."""
        self.known.add(name)
        if name not in self._environ:
            return default
        try:
            return parse(self._environ[name])
        except ValueError as error:
            self.problems.append(f"{name}: {error}")
            return default

    def is_given(self, name: str) -> bool:
        return name in self._environ

    def finish(self, names: Iterable[str]) -> None:
        """Raises SettingsError with everything that was wrong, unknown names too."""
        unknown = sorted(
            name for name in names if name.startswith(_PREFIX) and name not in self.known
        )
        for name in unknown:
            ends = {known.removeprefix(_PREFIX): known for known in self.known}
            near = get_close_matches(name.removeprefix(_PREFIX), ends, n=1)
            hint = f"; did you mean {ends[near[0]]}?" if near else ""
            self.problems.append(f"{name}: there is no such setting{hint}")
        if self.problems:
            raise SettingsError(self.problems)


def _refuse_in_production(reader: _Reader, environ: Mapping[str, str], *, public_url: str) -> None:
    """What development may leave open, production may not."""
    if not environ.get("REFERRAL_SECRET"):
        reader.problems.append("REFERRAL_SECRET: set one, as `referral secret new` prints it")
    if not environ.get("REFERRAL_TRUSTED_PROXIES"):
        reader.problems.append(
            "REFERRAL_TRUSTED_PROXIES: say how many proxies stand in front, 1 on most platforms, "
            "0 for none"
        )
    if not public_url.startswith("https://"):
        reader.problems.append(
            "REFERRAL_PUBLIC_URL: set the https:// address at which people reach this service"
        )
    if not environ.get("REFERRAL_SMS_URL"):
        reader.problems.append(
            "REFERRAL_SMS_URL: name a gateway, such as twilio://..., or simulated:// for an open "
            "demo, in which anybody can sign in as any phone"
        )


def _webhook(reader: _Reader, *, production: bool) -> dict[str, Any]:
    """The URL and the secrets, both or neither."""
    none: tuple[str, ...] = ()
    url = reader.read("REFERRAL_WEBHOOK_URL", _webhook_url(production=production), None)
    secrets = reader.read("REFERRAL_WEBHOOK_SECRET", _webhook_secrets, none)
    if url and not reader.is_given("REFERRAL_WEBHOOK_SECRET"):
        reader.problems.append(
            "REFERRAL_WEBHOOK_URL: set REFERRAL_WEBHOOK_SECRET too, to sign events with; "
            "`echo whsec_$(openssl rand -base64 32)` makes one"
        )
    if secrets and not reader.is_given("REFERRAL_WEBHOOK_URL"):
        reader.problems.append(
            "REFERRAL_WEBHOOK_SECRET: set REFERRAL_WEBHOOK_URL too, where events go"
        )
    return {"webhook_url": url, "webhook_secrets": secrets}


def _default_limits(*, simulated: bool, production: bool) -> Limits:
    if not simulated:
        return Limits()
    return Limits.simulated() if production else Limits.free()


def _limits(reader: _Reader, defaults: Limits) -> Limits:
    """Each limit from the variable of its name."""
    count = _number(1, _LARGEST)
    parsers: dict[str, Callable[[str], int | tuple[int, ...]]] = {
        "code_length": _number(SHORTEST_CODE, LONGEST_CODE),
        "code_life": _number(30, 600),
        "resend_waits": _waits,
        "session_idle_days": _number(1, _MOST_DAYS),
        "session_max_days": _number(1, _MOST_DAYS),
    }
    return Limits(
        **{
            field.name: reader.read(
                _PREFIX + _OTHER_NAMES.get(field.name, field.name.upper()),
                parsers.get(field.name, count),
                getattr(defaults, field.name),
            )
            for field in fields(Limits)
        }
    )


def _development_secret(database_url: str) -> bytes:
    """The secret that development keeps in a file, made at the first start."""
    path = secret_file(database_url)
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        # Written first and named then: of several processes that start at once, one names its
        # file, and all read a whole one
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(randomness.token_urlsafe(SHORTEST_SECRET_BYTES))
        with suppress(FileExistsError):
            os.link(draft, path)
        draft.unlink()
    except FileNotFoundError:
        raise SettingsError([f"DATABASE_URL: there is no folder {path.parent}"]) from None
    except OSError as error:
        raise SettingsError([f"cannot keep a secret in {path}: {error.strerror}"]) from None
    secret = path.read_bytes()
    if len(secret) < SHORTEST_SECRET_BYTES:
        raise SettingsError([f"{path} holds no secret: delete it, and a new one is made"])
    return secret


def _number(least: int, most: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,12}", text) or not least <= int(text) <= most:
            raise ValueError(f"a whole number from {least} to {most}")
        return int(text)

    return parse


def _one_of(*choices: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in choices:
            raise ValueError("one of " + ", ".join(choices))
        return text

    return parse


def _items(text: str) -> list[str]:
    return [item.strip() for item in text.split(",") if item.strip()]


def _text(text: str) -> str:
    if len(text) > _LONGEST_TEXT or not text.isprintable():
        raise ValueError(f"at most {_LONGEST_TEXT} printable characters")
    return text


def _waits(text: str) -> tuple[int, ...]:
    return tuple(_number(0, 86_400)(item.strip()) for item in text.split(","))


def _database_url(text: str) -> str:
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


def _secrets(*, strict: bool) -> Callable[[str], tuple[bytes, ...]]:
    def parse(text: str) -> tuple[bytes, ...]:
        secrets = tuple(dict.fromkeys(item.encode() for item in _items(text)))
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


def _region(text: str) -> str:
    region = text.upper()
    if region not in phonenumbers.SUPPORTED_REGIONS:
        raise ValueError("two letters of a country, such as DE")
    return region


def _regions(text: str) -> frozenset[str]:
    regions = frozenset(_region(item) for item in _items(text))
    if not regions:
        raise ValueError("two letters each, such as DE,FR")
    return regions


def _test_phones(today: date) -> Callable[[str], dict[str, FixedCode]]:
    def parse(text: str) -> dict[str, FixedCode]:
        return dict(_test_phone(item, today) for item in _items(text))

    return parse


def _test_phone(item: str, today: date) -> tuple[str, FixedCode]:
    form = re.fullmatch(rf"(\+[0-9]+)=([0-9]{{{LONGEST_CODE}}})@([0-9-]{{10}})", item)
    if form is None:
        raise ValueError("written as +79990000001=12345678@2027-01-31, a code of 8 digits")
    try:
        phone, until = phones.read(form[1], Rules()), date.fromisoformat(form[3])
    except (Refusal, ValueError):
        raise ValueError("a phone that is no phone, or a date that is no date") from None
    if until > today + _LONGEST_TEST:
        raise ValueError(f"at most {_LONGEST_TEST.days} days ahead")
    return phone, FixedCode(code=form[2], until=until)


def _web_url(text: str) -> str:
    parts = urlsplit(_text(text))
    try:
        whole = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:  # of a port that is none; its text repeats the value
        whole = False
    if not whole or re.search(r"\s", text):
        raise ValueError("a URL that starts with https:// or http://")
    return text


def _public_url(text: str) -> str:
    parts = urlsplit(_web_url(text))
    if not _ORIGIN.fullmatch(text.lower()):
        raise ValueError("scheme and host alone, such as https://referral.example.com")
    # As browsers write an origin (RFC 6454, section 6.1)
    default = {"http": 80, "https": 443}[parts.scheme]
    return f"{parts.scheme}://{parts.netloc.lower().removesuffix(f':{default}')}"


def _invite_url(text: str) -> str:
    if "{code}" not in text:
        raise ValueError("a URL with {code} where the invite code goes")
    _web_url(text)
    return text


def _origins(text: str) -> tuple[str, ...]:
    return tuple(_public_url(item) for item in _items(text))


def _webhook_url(*, production: bool) -> Callable[[str], str]:
    def parse(text: str) -> str:
        parts = urlsplit(_web_url(text))
        if production and parts.scheme != "https" and parts.hostname not in signature.LOOPBACK:
            raise ValueError("http:// is for development and for 127.0.0.1; use https://")
        if parts.fragment:
            raise ValueError("a URL without #, behind which nothing is sent")
        try:
            httpx.Request("POST", text)
        except (httpx.InvalidURL, UnicodeError):
            raise ValueError("a URL whose host can be looked up") from None
        return text

    return parse


def _webhook_secrets(text: str) -> tuple[str, ...]:
    secrets = tuple(dict.fromkeys(_items(text)))
    if not secrets or not all(signature.is_secret(secret) for secret in secrets):
        raise ValueError(
            "whsec_ and the base64 of at least 24 random bytes, several separated by commas: "
            "`echo whsec_$(openssl rand -base64 32)` makes one"
        )
    return secrets


def _platform_url(environ: Mapping[str, str]) -> str:
    """The public address that a platform names, or nothing."""
    if url := environ.get(_PLATFORM_URL):
        return url.rstrip("/")
    return next((f"https://{environ[name]}" for name in _PLATFORM_HOSTS if environ.get(name)), "")
