"""The settings: one frozen value, read from environment variables and a `.env` file.

All problems are reported together, a line each. An unknown variable that starts with REFERRAL_
stops the service: otherwise a misspelt limit would silently not apply.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

from referral.core.challenge import MAX_CODE_LENGTH, MIN_CODE_LENGTH
from referral.core.colour import Palette
from referral.core.image import Image
from referral.core.phone import FixedCode, PhoneRules
from referral.core.sign_up import CLOSED, INVITED, OPEN, SignUpRules
from referral.limits.policy import Limits
from referral.messaging.gateways import urls
from referral.settings import (
    brand,
    channels,
    development_secret,
    locales,
    offers,
    preview_image,
    values,
)
from referral.settings.channels import ChannelSettings
from referral.settings.locales import Locales
from referral.settings.reader import PREFIX, Reader, load_variables, platform_url
from referral.storage.configuration import sqlite_file

DEVELOPMENT, PRODUCTION = "development", "production"
DEFAULT_DATABASE_URL = "sqlite://referral.sqlite3"

# Limits whose variable is not named after the field
_VARIABLE_NAMES = {"code_life": "CODE_TTL", "access_life": "ACCESS_TTL"}
_MAX_COUNT = 10**9
_MAX_DAYS = 36_500


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything that an operator can set. docs/settings.md lists the variables."""

    environment: str
    database_url: str = field(repr=False)
    secrets: tuple[bytes, ...] = field(repr=False)
    sms_urls: tuple[str, ...] = field(repr=False)
    channels: ChannelSettings
    limits: Limits
    phone_rules: PhoneRules
    test_phones: Mapping[str, FixedCode] = field(repr=False)
    sign_up: SignUpRules
    public_url: str
    audience: str
    invite_url: str
    app_name: str
    locales: Locales
    terms_url: str | None
    privacy_url: str | None
    support_url: str | None
    app_url: str | None
    logo: Image | None
    logo_dark: Image | None
    favicon: Image | None
    palette: Palette
    offers: Mapping[str, str]
    masks_invitees: bool
    preview_image: Image | None
    cors_origins: tuple[str, ...]
    cost_guard: str
    webhook_url: str | None = field(repr=False)
    webhook_secrets: tuple[str, ...] = field(repr=False)
    metrics_token: str | None = field(repr=False)
    trusted_proxies: int
    host: str
    port: int
    workers: int

    @property
    def in_production(self) -> bool:
        return self.environment == PRODUCTION

    @property
    def sqlite_path(self) -> Path | None:
        """The database's file, or None with PostgreSQL."""
        file = sqlite_file(self.database_url)
        return Path(file) if file is not None else None

    @property
    def is_open_demo(self) -> bool:
        """Whether anybody can sign in as any phone, because no message is really sent."""
        return self.in_production and self.sending_is_simulated

    @property
    def sending_is_simulated(self) -> bool:
        return urls.is_simulated(self.sms_urls)


def load(*, today: date) -> Settings:
    """Load the settings from the environment and `.env` in the working folder.

    Raises SettingsError.
    """
    return parse(load_variables(), today=today)


def load_database_url() -> str:
    """Load DATABASE_URL only, for backups where nothing else is set. Raises SettingsError."""
    given = {name: text.strip() for name, text in load_variables().items() if text.strip()}
    reader = Reader(given)
    url = _database_url(reader)
    reader.finish(())
    return url


def parse(environ: Mapping[str, str], *, today: date) -> Settings:
    """Parse the settings from variables. In development, a missing secret is created in a file.

    Raises SettingsError.
    """
    # .env files and platforms leave variables empty: that counts as not set
    given = {name: text.strip() for name, text in environ.items() if text.strip()}
    if url := platform_url(given):
        given.setdefault("REFERRAL_PUBLIC_URL", url)
    reader = Reader(given)
    settings = _read(reader, today)
    reader.finish(environ)
    if settings.secrets:
        return settings
    return replace(settings, secrets=(development_secret.load_or_create(settings.database_url),))


def variable_names() -> frozenset[str]:
    """Return the names of all variables that are read, with XX in the place of a country."""
    reader = Reader({})
    _read(reader, date.min)
    return frozenset({*reader.known, channels.ORDER_OF_COUNTRY})


def _database_url(reader: Reader) -> str:
    return reader.read(
        "DATABASE_URL", values.no_placeholder_in_url(values.database_url), DEFAULT_DATABASE_URL
    )


def _read(reader: Reader, today: date) -> Settings:
    environment = reader.read("REFERRAL_ENV", values.one_of(DEVELOPMENT, PRODUCTION), DEVELOPMENT)
    production = environment == PRODUCTION
    sms_urls = reader.read(
        "REFERRAL_SMS_URL",
        values.no_placeholder_in_url(partial(urls.parse, production=production)),
        urls.DEFAULT,
    )
    simulated = urls.is_simulated(sms_urls)
    port = reader.read("PORT", values.integer(1, 65535), 8000)
    public_url = reader.read("REFERRAL_PUBLIC_URL", values.public_url, "")
    rules = PhoneRules(
        default_region=reader.read("REFERRAL_DEFAULT_REGION", values.region, None),
        allowed=reader.read("REFERRAL_COUNTRIES_ALLOWED", values.regions, frozenset()),
        denied=reader.read("REFERRAL_COUNTRIES_DENIED", values.regions, frozenset()),
    )
    if production:
        _require_in_production(reader, public_url=public_url)
    base_url = public_url or f"http://127.0.0.1:{port}"
    app_name = reader.read("REFERRAL_APP_NAME", values.printable, "Referral")
    return Settings(
        environment=environment,
        database_url=_database_url(reader),
        secrets=reader.read(
            "REFERRAL_SECRET", values.no_placeholder(values.secrets(strict=production)), ()
        ),
        sms_urls=sms_urls,
        channels=channels.read(reader, sms_urls),
        limits=_limits(reader, _default_limits(simulated=simulated, production=production)),
        phone_rules=rules,
        test_phones=reader.read("REFERRAL_TEST_PHONES", values.test_phones(today), {}),
        sign_up=_sign_up(reader),
        public_url=base_url,
        audience=reader.read("REFERRAL_AUDIENCE", values.printable, base_url),
        invite_url=reader.read("REFERRAL_INVITE_URL", values.invite_url, base_url + "/i/{code}"),
        app_name=app_name,
        locales=locales.read(reader, app_name=app_name, public_url=base_url),
        terms_url=reader.read("REFERRAL_TERMS_URL", values.web_url, None),
        privacy_url=reader.read("REFERRAL_PRIVACY_URL", values.web_url, None),
        support_url=reader.read("REFERRAL_SUPPORT_URL", values.web_url, None),
        app_url=reader.read("REFERRAL_APP_URL", values.web_url, None),
        offers=offers.read(reader),
        masks_invitees=reader.read(
            "REFERRAL_INVITEE_SHOWN", values.one_of("phone", "masked"), "phone"
        )
        == "masked",
        preview_image=reader.read("REFERRAL_PREVIEW_IMAGE", preview_image.read, None),
        cors_origins=reader.read("REFERRAL_CORS_ORIGINS", values.origins, ()),
        cost_guard=reader.read(
            "REFERRAL_COST_GUARD",
            values.one_of("block", "warn", "off"),
            "off" if simulated else "block",
        ),
        metrics_token=reader.read(
            "REFERRAL_METRICS_TOKEN", values.no_placeholder(values.printable), None
        ),
        trusted_proxies=reader.read("REFERRAL_TRUSTED_PROXIES", values.integer(0, 10), 0),
        # In production a platform's proxy connects from outside the container
        host=reader.read("HOST", values.printable, "0.0.0.0" if production else "127.0.0.1"),  # noqa: S104
        port=port,
        workers=reader.read("WEB_CONCURRENCY", values.integer(1, 64), 1),
        **brand.read(reader),
        **_webhook(reader, production=production),
    )


def _require_in_production(reader: Reader, *, public_url: str) -> None:
    """Add a problem for each missing setting that has a default only in development."""
    if not reader.is_set("DATABASE_URL"):
        reader.problems.append(
            "DATABASE_URL: set it to the database, postgres://... or sqlite:///PATH of a file that "
            "survives the next deploy"
        )
    if not reader.is_set("REFERRAL_SECRET"):
        reader.problems.append("REFERRAL_SECRET: set it to what `referral secret new` prints")
    if not reader.is_set("REFERRAL_TRUSTED_PROXIES"):
        reader.problems.append(
            "REFERRAL_TRUSTED_PROXIES: set it to the number of proxies in front of the service: "
            "1 on most platforms, 0 if there are none"
        )
    if not public_url.startswith("https://"):
        reader.problems.append(
            "REFERRAL_PUBLIC_URL: set it to the https:// address at which people reach this service"
        )
    if not reader.is_set("REFERRAL_SMS_URL"):
        reader.problems.append(
            "REFERRAL_SMS_URL: set it to a gateway, such as twilio://..., or to simulated:// for "
            "an open demo, in which anybody can sign in as any phone"
        )


def _sign_up(reader: Reader) -> SignUpRules:
    return SignUpRules(
        mode=reader.read("REFERRAL_SIGN_UP", values.one_of(OPEN, INVITED, CLOSED), OPEN),
        invites_per_user=reader.read("REFERRAL_INVITES_PER_USER", values.integer(0, _MAX_COUNT), 0),
        activation_days=reader.read("REFERRAL_ACTIVATION_DAYS", values.integer(0, _MAX_DAYS), 0),
    )


def _webhook(reader: Reader, *, production: bool) -> dict[str, Any]:
    """Read the URL and the secrets of webhooks. Either both must be set, or neither."""
    none: tuple[str, ...] = ()
    url = reader.read(
        "REFERRAL_WEBHOOK_URL",
        values.no_placeholder_in_url(values.webhook_url(production=production)),
        None,
    )
    secrets = reader.read(
        "REFERRAL_WEBHOOK_SECRET", values.no_placeholder(values.webhook_secrets), none
    )
    if url and not reader.is_set("REFERRAL_WEBHOOK_SECRET"):
        reader.problems.append(
            "REFERRAL_WEBHOOK_URL: set REFERRAL_WEBHOOK_SECRET too, which signs the events; "
            "`echo whsec_$(openssl rand -base64 32)` makes one"
        )
    if secrets and not reader.is_set("REFERRAL_WEBHOOK_URL"):
        reader.problems.append(
            "REFERRAL_WEBHOOK_SECRET: set REFERRAL_WEBHOOK_URL too, to which events are sent"
        )
    return {"webhook_url": url, "webhook_secrets": secrets}


def _default_limits(*, simulated: bool, production: bool) -> Limits:
    if not simulated:
        return Limits()
    return Limits.simulated() if production else Limits.development()


def _limits(reader: Reader, defaults: Limits) -> Limits:
    """Read each limit from the variable that is named after it."""
    count = values.integer(1, _MAX_COUNT)
    parsers: dict[str, Callable[[str], int | tuple[int, ...]]] = {
        "code_length": values.integer(MIN_CODE_LENGTH, MAX_CODE_LENGTH),
        "code_life": values.integer(30, 600),
        "resend_waits": values.waits,
        "session_idle_days": values.integer(1, _MAX_DAYS),
        "session_max_days": values.integer(1, _MAX_DAYS),
    }
    return Limits(
        **{
            field.name: reader.read(
                PREFIX + _VARIABLE_NAMES.get(field.name, field.name.upper()),
                parsers.get(field.name, count),
                getattr(defaults, field.name),
            )
            for field in fields(Limits)
        }
    )
