"""The settings: their variables, their defaults, and what stops the service."""

from __future__ import annotations

import re
import stat
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import fields
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from processes import ROOT, environment
from referral import i18n, settings
from referral.core import colour, image
from referral.core.channels import DEFAULT_WEIGHTS, Channel, ChannelRules
from referral.core.phone import FixedCode, PhoneRules
from referral.core.sign_up import SignUpRules
from referral.http import pages
from referral.limits.policy import Limits
from referral.messaging import messages
from referral.settings import Settings
from referral.settings.channels import ChannelSettings
from referral.settings.locales import Locales
from referral.settings.reader import SettingsError
from support import SECRET, TODAY

OUR_PREVIEW = Path(settings.__file__).parents[1] / "http/pages/static/preview.png"
TWILIO = "twilio://AC0123456789abcdef0123456789abcdef:0123456789abcdef@+15005550007"
TELEGRAM = "telegram+gateway://AAHfAwAAw0Gq:Qx_Yz-12345"
WHATSAPP = (
    "whatsapp+cloud://EAAJBqTestToken0123456789:fedcba9876543210@106540352242922/login_code"
    "?languages=en,ru"
)
VOICE = "twilio+voice://AC0123456789abcdef0123456789abcdef:0123456789abcdef@+15005550007"
HOOK = "hook+https://team.example/sms?secret=whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
WEBHOOK_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER_SECRET = "another secret of the tests with 32 bytes or more 9876543210"
PRODUCTION = {
    "REFERRAL_ENV": "production",
    "DATABASE_URL": "postgres://u:p@host/name",
    "REFERRAL_SECRET": SECRET,
    "REFERRAL_TRUSTED_PROXIES": "1",
    "REFERRAL_PUBLIC_URL": "https://referral.example",
    "REFERRAL_SMS_URL": "simulated://",
}

# Both or neither must be set
WEBHOOK = {
    "REFERRAL_WEBHOOK_URL": "https://r.example/hook",
    "REFERRAL_WEBHOOK_SECRET": WEBHOOK_SECRET,
}

# The icon of the pages, and what is read of it
ICON = Path(pages.__file__).parent / "static" / "icon.svg"
ICON_IMAGE = image.parse(ICON.read_bytes())

CHANNELS = {
    "REFERRAL_SMS_URL": TWILIO,
    "REFERRAL_TELEGRAM_URL": TELEGRAM,
    "REFERRAL_WHATSAPP_URL": WHATSAPP,
    "REFERRAL_VOICE_URL": VOICE,
}
_OF_CHANNELS = ("CHANNELS", "CHANNELS_IN", "COSTS", "SMS_APP_HASHES")

# What other variables a variable needs beside it
BESIDE = {
    **dict.fromkeys(WEBHOOK, WEBHOOK),
    **dict.fromkeys(
        [*list(CHANNELS)[1:], *(f"REFERRAL_{each}" for each in _OF_CHANNELS)], CHANNELS
    ),
    "REFERRAL_LOGO_DARK": {"REFERRAL_LOGO": str(ICON)},
}

# Each limit: its variable, its default with a real gateway, its minimum and its maximum
LIMITS: dict[str, tuple[str, Any, int, int]] = {
    "code_length": ("REFERRAL_CODE_LENGTH", 6, 4, 8),
    "code_life": ("REFERRAL_CODE_TTL", 120, 30, 600),
    "guesses_per_challenge": ("REFERRAL_GUESSES_PER_CHALLENGE", 3, 1, 10**9),
    "failures_per_phone_day": ("REFERRAL_FAILURES_PER_PHONE_DAY", 10, 1, 10**9),
    "failures_per_phone_month": ("REFERRAL_FAILURES_PER_PHONE_MONTH", 20, 1, 10**9),
    "failures_per_phone_day_max": ("REFERRAL_FAILURES_PER_PHONE_DAY_MAX", 100, 1, 10**9),
    "failures_per_address_hour": ("REFERRAL_FAILURES_PER_ADDRESS_HOUR", 60, 1, 10**9),
    "failures_per_hour": ("REFERRAL_FAILURES_PER_HOUR", 200, 1, 10**9),
    "sends_per_phone_hour": ("REFERRAL_SENDS_PER_PHONE_HOUR", 5, 1, 10**9),
    "sends_per_phone_day": ("REFERRAL_SENDS_PER_PHONE_DAY", 10, 1, 10**9),
    "sends_per_address_hour": ("REFERRAL_SENDS_PER_ADDRESS_HOUR", 30, 1, 10**9),
    "sends_per_day": ("REFERRAL_SENDS_PER_DAY", 10_000, 1, 10**9),
    "invite_failures_per_user_hour": ("REFERRAL_INVITE_FAILURES_PER_USER_HOUR", 10, 1, 10**9),
    "invite_failures_per_address_hour": ("REFERRAL_INVITE_FAILURES_PER_ADDRESS_HOUR", 60, 1, 10**9),
    "access_life": ("REFERRAL_ACCESS_TTL", 900, 1, 10**9),
    "session_idle_days": ("REFERRAL_SESSION_IDLE_DAYS", 30, 1, 36_500),
    "session_max_days": ("REFERRAL_SESSION_MAX_DAYS", 180, 1, 36_500),
}


def with_all(hashes: Iterable[str] = (), **rules: Any) -> ChannelSettings:
    """Return the settings of all channels, with these rules."""
    urls = {Channel.TELEGRAM: TELEGRAM, Channel.WHATSAPP: WHATSAPP, Channel.VOICE: VOICE}
    found = ChannelRules(available=frozenset(Channel), **rules)
    return ChannelSettings(urls, found, frozenset(hashes))


VALUES: list[tuple[str, str, str, Any]] = [
    # variable, text, field, value
    ("DATABASE_URL", "sqlite:////var/referral.db", "database_url", "sqlite:////var/referral.db"),
    ("DATABASE_URL", "postgres://u:p@h:5432/d", "database_url", "postgres://u:p@h:5432/d"),
    ("DATABASE_URL", "postgresql://u:p@h/d", "database_url", "postgresql://u:p@h/d"),
    ("REFERRAL_SECRET", OTHER_SECRET, "secrets", (OTHER_SECRET.encode(),)),
    (
        "REFERRAL_SECRET",
        f"{SECRET} , {OTHER_SECRET},",
        "secrets",
        (SECRET.encode(), OTHER_SECRET.encode()),
    ),
    ("REFERRAL_ENV", "development", "environment", "development"),
    ("REFERRAL_SMS_URL", "simulated://", "sms_urls", ("simulated://",)),
    ("REFERRAL_SMS_URL", "simulated://?delay=0", "sms_urls", ("simulated://?delay=0",)),
    ("REFERRAL_SMS_URL", "console://", "sms_urls", ("console://",)),
    ("REFERRAL_SMS_URL", TWILIO, "sms_urls", (TWILIO,)),
    ("REFERRAL_SMS_URL", TWILIO.replace("twilio", "TWILIO"), "sms_urls", (TWILIO,)),
    ("REFERRAL_SMS_URL", f"{HOOK} ,{TWILIO},", "sms_urls", (HOOK, TWILIO)),
    (
        "REFERRAL_SMS_URL",
        HOOK.replace("https", "http"),
        "sms_urls",
        (HOOK.replace("https", "http"),),
    ),
    ("REFERRAL_TELEGRAM_URL", TELEGRAM, "channels", with_all()),
    ("REFERRAL_TELEGRAM_URL", TELEGRAM.replace("telegram+", "TELEGRAM+"), "channels", with_all()),
    ("REFERRAL_WHATSAPP_URL", WHATSAPP, "channels", with_all()),
    ("REFERRAL_VOICE_URL", VOICE, "channels", with_all()),
    (
        "REFERRAL_CHANNELS",
        "telegram, sms",
        "channels",
        with_all(order=(Channel.TELEGRAM, Channel.SMS)),
    ),
    (
        "REFERRAL_CHANNELS_IN",
        "whatsapp",
        "channels",
        with_all(order_of={"IN": (Channel.WHATSAPP,)}),
    ),
    (
        "REFERRAL_COSTS",
        "voice=20",
        "channels",
        with_all(weights={**DEFAULT_WEIGHTS, Channel.VOICE: 20}),
    ),
    ("REFERRAL_SMS_APP_HASHES", "FA+9qCX9VSu,", "channels", with_all(hashes={"FA+9qCX9VSu"})),
    ("REFERRAL_DEFAULT_REGION", "ru", "phone_rules", PhoneRules(default_region="RU")),
    (
        "REFERRAL_COUNTRIES_ALLOWED",
        "ru, KZ",
        "phone_rules",
        PhoneRules(allowed=frozenset({"RU", "KZ"})),
    ),
    ("REFERRAL_COUNTRIES_DENIED", "US", "phone_rules", PhoneRules(denied=frozenset({"US"}))),
    (
        "REFERRAL_TEST_PHONES",
        "+79990000001=12345678@2026-01-31, +79990000002=00000000@2026-04-01",
        "test_phones",
        {
            "+79990000001": FixedCode(code="12345678", until=date(2026, 1, 31)),
            "+79990000002": FixedCode(code="00000000", until=date(2026, 4, 1)),
        },
    ),
    ("REFERRAL_SIGN_UP", "open", "sign_up", SignUpRules(mode="open")),
    ("REFERRAL_SIGN_UP", "invited", "sign_up", SignUpRules(mode="invited")),
    ("REFERRAL_SIGN_UP", "closed", "sign_up", SignUpRules(mode="closed")),
    ("REFERRAL_INVITES_PER_USER", "0", "sign_up", SignUpRules()),
    ("REFERRAL_INVITES_PER_USER", "5", "sign_up", SignUpRules(invites_per_user=5)),
    ("REFERRAL_ACTIVATION_DAYS", "30", "sign_up", SignUpRules(activation_days=30)),
    ("REFERRAL_COST_GUARD", "block", "cost_guard", "block"),
    ("REFERRAL_COST_GUARD", "warn", "cost_guard", "warn"),
    ("REFERRAL_COST_GUARD", "off", "cost_guard", "off"),
    ("REFERRAL_PUBLIC_URL", "https://r.example/", "public_url", "https://r.example"),
    ("REFERRAL_PUBLIC_URL", "http://127.0.0.1:9000", "public_url", "http://127.0.0.1:9000"),
    (
        "REFERRAL_INVITE_URL",
        "https://r.example/?c={code}",
        "invite_url",
        "https://r.example/?c={code}",
    ),
    ("REFERRAL_AUDIENCE", "https://app.example", "audience", "https://app.example"),
    (
        "REFERRAL_CORS_ORIGINS",
        "https://a.example, http://localhost:3000",
        "cors_origins",
        ("https://a.example", "http://localhost:3000"),
    ),
    (
        "REFERRAL_CORS_ORIGINS",
        "Capacitor://localhost,ionic://localhost,chrome-extension://abcdefgh,app://a.example:80",
        "cors_origins",
        (
            "capacitor://localhost",
            "ionic://localhost",
            "chrome-extension://abcdefgh",
            "app://a.example:80",
        ),
    ),
    ("REFERRAL_APP_NAME", "Приглашения", "app_name", "Приглашения"),
    ("REFERRAL_TERMS_URL", "https://r.example/terms", "terms_url", "https://r.example/terms"),
    ("REFERRAL_PRIVACY_URL", "https://r.example/p?a=1", "privacy_url", "https://r.example/p?a=1"),
    ("REFERRAL_SUPPORT_URL", "https://help.r.example", "support_url", "https://help.r.example"),
    ("REFERRAL_APP_URL", "https://app.r.example/x", "app_url", "https://app.r.example/x"),
    ("REFERRAL_LOGO", str(ICON), "logo", ICON_IMAGE),
    ("REFERRAL_LOGO_DARK", str(ICON), "logo_dark", ICON_IMAGE),
    ("REFERRAL_FAVICON", str(ICON), "favicon", ICON_IMAGE),
    ("REFERRAL_ACCENT", "#3454D1", "palette", colour.DEFAULT),
    ("REFERRAL_ACCENT", "#063", "palette", colour.palette("#006633")),
    ("REFERRAL_OFFER", "100 points <3", "offers", {"": "100 points <3"}),
    ("REFERRAL_OFFER_EN", 200 * "x", "offers", {"en": 200 * "x"}),
    *(
        (
            f"REFERRAL_OFFER_{tag.upper().replace('-', '_')}",
            "100 баллов",
            "offers",
            {tag: "100 баллов"},
        )
        for tag in i18n.PREPARED
    ),
    (
        "REFERRAL_LOCALES",
        str(ROOT / "tests" / "helpers" / "team_locales"),
        "locales",
        Locales(i18n.ours(), texts=(("en", 1),)),
    ),
    ("REFERRAL_INVITEE_SHOWN", "masked", "masks_invitees", True),
    ("REFERRAL_INVITEE_SHOWN", "phone", "masks_invitees", False),
    (
        "REFERRAL_PREVIEW_IMAGE",
        str(OUR_PREVIEW),
        "preview_image",
        image.parse(OUR_PREVIEW.read_bytes()),
    ),
    ("REFERRAL_WEBHOOK_URL", "https://r.example/hook", "webhook_url", "https://r.example/hook"),
    (
        "REFERRAL_WEBHOOK_SECRET",
        f"{WEBHOOK_SECRET}, whsec_{32 * 'A'}",
        "webhook_secrets",
        (WEBHOOK_SECRET, f"whsec_{32 * 'A'}"),
    ),
    ("REFERRAL_METRICS_TOKEN", "a token", "metrics_token", "a token"),
    ("REFERRAL_TRUSTED_PROXIES", "2", "trusted_proxies", 2),
    ("PORT", "9000", "port", 9000),
    ("HOST", "::", "host", "::"),
    ("WEB_CONCURRENCY", "4", "workers", 4),
]


def read(**variables: str) -> Settings:
    return settings.parse({"REFERRAL_SECRET": SECRET, **variables}, today=TODAY)


def problems(variables: dict[str, str]) -> list[str]:
    """Assert that these variables stop the service, and return a line for each problem."""
    with pytest.raises(SettingsError) as error:
        settings.parse(variables, today=TODAY)
    found = error.value.problems
    assert str(error.value).splitlines() == found
    return found


def found(variables: dict[str, str]) -> list[str]:
    """Return a line for each problem, if there are any."""
    try:
        settings.parse(variables, today=TODAY)
    except SettingsError as error:
        return error.problems
    return []


class TestDefaults:
    def test_development(self) -> None:
        """Without any variable the service works, and only this machine can connect."""
        assert read() == Settings(
            environment="development",
            database_url="sqlite://referral.sqlite3",
            secrets=(SECRET.encode(),),
            sms_urls=("simulated://",),
            channels=ChannelSettings(
                {}, ChannelRules(available=frozenset({Channel.SMS})), frozenset()
            ),
            limits=Limits.development(),
            phone_rules=PhoneRules(default_region=None, allowed=frozenset(), denied=frozenset()),
            test_phones={},
            sign_up=SignUpRules(mode="open", invites_per_user=0, activation_days=0),
            public_url="http://127.0.0.1:8000",
            audience="http://127.0.0.1:8000",
            invite_url="http://127.0.0.1:8000/i/{code}",
            app_name="Referral",
            terms_url=None,
            privacy_url=None,
            support_url=None,
            app_url=None,
            locales=Locales(i18n.ours()),
            logo=None,
            logo_dark=None,
            favicon=None,
            palette=colour.DEFAULT,
            offers={},
            masks_invitees=False,
            preview_image=None,
            cors_origins=(),
            cost_guard="off",
            webhook_url=None,
            webhook_secrets=(),
            metrics_token=None,
            trusted_proxies=0,
            host="127.0.0.1",
            port=8000,
            workers=1,
        )

    def test_production_listens_on_all_addresses(self) -> None:
        made = settings.parse(PRODUCTION, today=TODAY)
        assert (made.in_production, made.host, made.port) == (True, "0.0.0.0", 8000)  # noqa: S104 - what is tested
        assert not read().in_production

    def test_every_limit_is_in_the_table(self) -> None:
        different = {field.name for field in fields(Limits)} ^ {*LIMITS, "resend_waits"}
        assert not different, f"add to LIMITS here, or remove: {different}"

    @pytest.mark.parametrize("limit", LIMITS)
    def test_limit(self, limit: str) -> None:
        made = read(REFERRAL_SMS_URL="console://").limits
        assert getattr(made, limit) == LIMITS[limit][1]

    def test_waits_between_sends(self) -> None:
        assert read(REFERRAL_SMS_URL="console://").limits.resend_waits == (30, 60, 120)

    @pytest.mark.parametrize("url", ["simulated://", "simulated://?delay=0"])
    def test_simulated_sending_in_production_shortens_codes(self, url: str) -> None:
        made = settings.parse({**PRODUCTION, "REFERRAL_SMS_URL": url}, today=TODAY)
        assert made.limits == Limits(code_length=4)
        assert made.sending_is_simulated

    @pytest.mark.parametrize("url", ["", "simulated://", "simulated://?delay=0"])
    def test_simulated_sending_in_development_raises_limits(self, url: str) -> None:
        assert read(REFERRAL_SMS_URL=url).limits == Limits(
            code_length=4,
            resend_waits=(3,),
            sends_per_phone_hour=1000,
            sends_per_phone_day=1000,
            sends_per_address_hour=1000,
        )

    def test_the_cost_guard_blocks_if_messages_cost(self) -> None:
        assert read(REFERRAL_SMS_URL="console://").cost_guard == "block"

    def test_defaults_that_follow_from_the_public_url(self) -> None:
        made = read(REFERRAL_PUBLIC_URL="https://r.example")
        assert made.audience == "https://r.example"
        assert made.invite_url == "https://r.example/i/{code}"

    def test_the_public_url_follows_from_the_port(self) -> None:
        assert read(PORT="9000").public_url == "http://127.0.0.1:9000"

    @pytest.mark.parametrize("variable", sorted(settings.variable_names() - {"REFERRAL_SECRET"}))
    def test_an_empty_variable_counts_as_not_set(self, variable: str) -> None:
        """Files named .env and platforms leave some empty."""
        variable = variable.replace("_XX", "_IN")
        assert read(**{variable: ""}) == read(**{variable: "  "}) == read()


class TestValues:
    def test_every_variable_is_tested(self) -> None:
        """Every variable that is read is in a table above, and the other way round."""
        tested = {
            variable.replace("CHANNELS_IN", "CHANNELS_XX")
            for variable, *_ in [*VALUES, *LIMITS.values()]
        }
        different = settings.variable_names() ^ tested ^ {"REFERRAL_RESEND_WAITS"}
        assert not different, f"add to VALUES or LIMITS here, or remove: {different}"

    def test_every_setting_is_used(self) -> None:
        """Outside settings/, by its name: passed on in app.py, or used by a command."""
        package = Path(settings.__file__).parent
        used = {
            name
            for file in package.parent.rglob("*.py")
            if file.parent != package
            for name in re.findall(r"\bsettings\.(\w+)", file.read_text(encoding="utf-8"))
        }
        unused = {field.name for field in fields(Settings)} - used
        assert not unused, f"pass on in app.py, or remove: {unused}"

    @pytest.mark.parametrize(("variable", "text", "field", "value"), VALUES)
    def test_a_value_sets_its_field(self, variable: str, text: str, field: str, value: Any) -> None:
        beside = BESIDE.get(variable, {})
        assert getattr(read(**{**beside, variable: f" {text} "}), field) == value

    @pytest.mark.parametrize("limit", LIMITS)
    def test_a_limit_sets_only_its_field(self, limit: str) -> None:
        variable, _, minimum, maximum = LIMITS[limit]
        for value in (minimum, maximum):
            made = read(**{variable: str(value)})
            assert made.limits == _changed(Limits.development(), limit, value)
            # A date that far ahead must exist
            TODAY + timedelta(days=max(made.limits.session_idle_days, made.limits.session_max_days))

    @pytest.mark.parametrize("limit", LIMITS)
    def test_a_limit_outside_its_range_is_refused(self, limit: str) -> None:
        variable, _, minimum, maximum = LIMITS[limit]
        above = 10**9 if limit.startswith("session_") else maximum + 1
        for value in (minimum - 1, above, -1):
            (line,) = problems({"REFERRAL_SECRET": SECRET, variable: str(value)})
            assert line.startswith(f"{variable}: must be a whole number from {minimum} to ")

    @pytest.mark.parametrize(
        ("text", "waits"),
        [
            ("0", (0,)),
            ("0,0,0", (0, 0, 0)),
            ("30, 60, 120", (30, 60, 120)),
            ("86400", (86_400,)),
            (",".join(["5"] * 50), (5,) * 50),
        ],
    )
    def test_waits(self, text: str, waits: tuple[int, ...]) -> None:
        assert read(REFERRAL_RESEND_WAITS=text).limits.resend_waits == waits

    @pytest.mark.parametrize("days", [-1000, 0, 1, 90])
    def test_a_test_phone_ends_within_90_days(self, days: int) -> None:
        until = TODAY + timedelta(days=days)
        made = read(REFERRAL_TEST_PHONES=f"+79990000001=12345678@{until}")
        assert made.test_phones["+79990000001"].until == until

    @pytest.mark.parametrize(
        ("variables", "url"),
        [
            ({"RENDER_EXTERNAL_URL": "https://r.onrender.com"}, "https://r.onrender.com"),
            ({"RENDER_EXTERNAL_URL": "https://r.onrender.com/"}, "https://r.onrender.com"),
            ({"RAILWAY_PUBLIC_DOMAIN": "r.up.railway.app"}, "https://r.up.railway.app"),
            ({"KOYEB_PUBLIC_DOMAIN": "r.koyeb.app"}, "https://r.koyeb.app"),
            ({"HEROKU_APP_DEFAULT_DOMAIN_NAME": "r.herokuapp.com"}, "https://r.herokuapp.com"),
            (
                {
                    "RENDER_EXTERNAL_URL": "https://r.onrender.com",
                    "REFERRAL_PUBLIC_URL": "https://a.b",
                },
                "https://a.b",
            ),
        ],
    )
    def test_the_platform_gives_the_public_url(self, variables: dict[str, str], url: str) -> None:
        """The service's own setting wins. In production too."""
        production = {name: PRODUCTION[name] for name in PRODUCTION if "PUBLIC_URL" not in name}
        for made in (read(**variables), settings.parse({**production, **variables}, today=TODAY)):
            assert (made.public_url, made.audience) == (url, url)


BAD: list[tuple[str, str]] = [
    *((variable, text) for variable, *_ in LIMITS.values() for text in ("x", "1.5", "1_0", "+5")),
    ("REFERRAL_GUESSES_PER_CHALLENGE", "\u0665"),
    ("REFERRAL_SENDS_PER_DAY", "9" * 5000),
    ("REFERRAL_ENV", "prod"),
    ("REFERRAL_ENV", "Production"),
    ("REFERRAL_SECRET", "x" * 31),
    ("REFERRAL_SECRET", f"{SECRET},short"),
    ("REFERRAL_SECRET", ","),
    ("REFERRAL_SECRET", "\udcff" * 40),
    ("REFERRAL_SMS_URL", "simulated"),
    ("REFERRAL_SMS_URL", "simulated://?delay=1"),
    ("REFERRAL_SMS_URL", "SIMULATED://?delay=1"),
    ("REFERRAL_SMS_URL", "simulated://,console://"),
    ("REFERRAL_SMS_URL", "simulated://,simulated://"),
    ("REFERRAL_SMS_URL", ","),
    ("REFERRAL_SMS_URL", "nothing://x"),
    ("REFERRAL_SMS_URL", f"simulated://,{TWILIO}"),
    ("REFERRAL_SMS_URL", f"{HOOK},console://"),
    ("REFERRAL_SMS_URL", "console://stderr"),
    ("REFERRAL_SMS_URL", "twilio://"),
    ("REFERRAL_SMS_URL", "twilio://sid:token"),
    ("REFERRAL_SMS_URL", "mailto://user:password@example.com"),
    ("REFERRAL_SMS_URL", "discord://4174216298/JHMHI8qBe7bk2ZwO5U711o3dV_js"),
    ("REFERRAL_SMS_URL", "json://localhost"),
    ("REFERRAL_SMS_URL", "whatsapp://token@15005550007"),
    ("REFERRAL_SMS_URL", "https://team.example/sms"),
    ("REFERRAL_SMS_URL", "hook+https://team.example/sms"),
    ("REFERRAL_SMS_URL", "hook+https://team.example/sms?secret="),
    ("REFERRAL_SMS_URL", "hook+https://team.example/sms?secret=whsec_c2hvcnQ="),
    ("REFERRAL_SMS_URL", HOOK.replace("whsec_", "")),
    ("REFERRAL_SMS_URL", HOOK + "!"),
    ("REFERRAL_SMS_URL", HOOK.replace("team.example", "team.example:0")),
    ("REFERRAL_SMS_URL", HOOK.replace("team.example", "[::1")),
    ("REFERRAL_SMS_URL", HOOK.replace("team.example", "")),
    ("REFERRAL_SMS_URL", HOOK.replace("hook+https", "hook+ftp")),
    ("REFERRAL_DEFAULT_REGION", "RUS"),
    ("REFERRAL_DEFAULT_REGION", "XX"),
    ("REFERRAL_DEFAULT_REGION", "001"),
    ("REFERRAL_COUNTRIES_ALLOWED", "RU,Germany"),
    ("REFERRAL_COUNTRIES_ALLOWED", ","),
    ("REFERRAL_COUNTRIES_DENIED", "+7"),
    ("REFERRAL_RESEND_WAITS", "30;60"),
    ("REFERRAL_RESEND_WAITS", "-1"),
    ("REFERRAL_RESEND_WAITS", ","),
    ("REFERRAL_TEST_PHONES", "+79990000001"),
    ("REFERRAL_TEST_PHONES", "+79990000001=1234@2026-01-31"),
    ("REFERRAL_TEST_PHONES", "+79990000001=123456789@2026-01-31"),
    ("REFERRAL_TEST_PHONES", "+79990000001=\u0661\u0662345678@2026-01-31"),
    ("REFERRAL_TEST_PHONES", "+79990000001=12345678"),
    ("REFERRAL_TEST_PHONES", "+79990000001=12345678@2026-02-30"),
    ("REFERRAL_TEST_PHONES", "+79990000001=12345678@2026-04-02"),
    ("REFERRAL_TEST_PHONES", "+79990000001=12345678@2026-01-31,+7999=12345678@2026-01-31"),
    ("REFERRAL_TEST_PHONES", "+18005550199=12345678@2026-01-31"),
    ("REFERRAL_COST_GUARD", "on"),
    ("REFERRAL_SIGN_UP", "invite"),
    ("REFERRAL_INVITES_PER_USER", "-1"),
    ("REFERRAL_ACTIVATION_DAYS", "36501"),
    ("REFERRAL_PUBLIC_URL", "r.example"),
    ("REFERRAL_PUBLIC_URL", "ftp://r.example"),
    ("REFERRAL_PUBLIC_URL", "https://"),
    ("REFERRAL_PUBLIC_URL", "https://r.example/path"),
    ("REFERRAL_PUBLIC_URL", "https://r.example/?a=1"),
    ("REFERRAL_PUBLIC_URL", "https://user@r.example"),
    ("REFERRAL_PUBLIC_URL", "https://r.example:port"),
    ("REFERRAL_PUBLIC_URL", "https://r.example:99999"),
    ("REFERRAL_PUBLIC_URL", "https://[::1"),
    ("REFERRAL_PUBLIC_URL", "https://r.example\nx"),
    ("REFERRAL_PUBLIC_URL", "https://r .example"),
    ("REFERRAL_INVITE_URL", "https://r.example/i"),
    ("REFERRAL_INVITE_URL", "/i/{code}"),
    ("REFERRAL_INVITE_URL", "javascript:{code}"),
    ("REFERRAL_CORS_ORIGINS", "*"),
    ("REFERRAL_CORS_ORIGINS", "https://a.example,null"),
    ("REFERRAL_CORS_ORIGINS", "https://a.example/path"),
    ("REFERRAL_CORS_ORIGINS", "capacitor://localhost/path"),
    ("REFERRAL_CORS_ORIGINS", "capacitor://*"),
    ("REFERRAL_CORS_ORIGINS", "capacitor:localhost"),
    ("REFERRAL_CORS_ORIGINS", "file://"),
    ("REFERRAL_APP_NAME", "x" * 501),
    ("REFERRAL_APP_NAME", "a\nb"),
    ("REFERRAL_APP_NAME", "a\u2028b"),
    ("REFERRAL_TERMS_URL", "javascript:alert(1)"),
    ("REFERRAL_LOCALES", "/nowhere"),
    ("REFERRAL_OFFER", 201 * "x"),
    ("REFERRAL_OFFER_RU", "two\nlines"),
    ("REFERRAL_INVITEE_SHOWN", "name"),
    ("REFERRAL_PREVIEW_IMAGE", "/nowhere.png"),
    ("REFERRAL_PREVIEW_IMAGE", "."),
    ("REFERRAL_PREVIEW_IMAGE", str(Path(__file__))),
    ("REFERRAL_PRIVACY_URL", "/privacy"),
    ("REFERRAL_SUPPORT_URL", "help@r.example"),
    ("REFERRAL_APP_URL", "javascript://r.example/%0aalert(1)"),
    ("REFERRAL_WEBHOOK_URL", "file:///etc/passwd"),
    ("REFERRAL_WEBHOOK_URL", "https://r.example/hook#part"),
    ("REFERRAL_WEBHOOK_SECRET", "whsec_YQ=="),
    ("REFERRAL_WEBHOOK_SECRET", 32 * "A"),
    ("REFERRAL_WEBHOOK_SECRET", ","),
    ("REFERRAL_TRUSTED_PROXIES", "-1"),
    ("REFERRAL_TRUSTED_PROXIES", "yes"),
    ("DATABASE_URL", "mysql://h/d"),
    ("DATABASE_URL", "referral.sqlite3"),
    ("DATABASE_URL", "sqlite://"),
    ("DATABASE_URL", "sqlite://:memory:"),
    ("PORT", "0"),
    ("PORT", "65536"),
    ("PORT", "http"),
    ("WEB_CONCURRENCY", "0"),
    ("REFERRAL_LOGO", "no-such-file.svg"),
    ("REFERRAL_LOGO", "/"),
    ("REFERRAL_LOGO", 300 * "x"),
    ("REFERRAL_LOGO", __file__),
    ("REFERRAL_LOGO_DARK", str(ICON)),
    ("REFERRAL_FAVICON", "/dev/null"),
    ("REFERRAL_ACCENT", "3454d1"),
    ("REFERRAL_ACCENT", "blue"),
    ("REFERRAL_ACCENT", "#3454d1ff"),
    ("REFERRAL_ACCENT", "#ffcc00"),
]


class TestWrong:
    @pytest.mark.parametrize(("variable", "text"), BAD)
    def test_a_wrong_value_is_refused(self, variable: str, text: str) -> None:
        """In development too. One line names the variable and does not repeat the value."""
        (line,) = problems({"REFERRAL_SECRET": SECRET, variable: text})
        assert line.startswith(f"{variable}: ")
        assert len(line) < 200

    @given(
        st.sampled_from(sorted(settings.variable_names() - {"REFERRAL_SECRET"})),
        st.text(max_size=50),
    )
    def test_any_text_is_accepted_or_refused_in_one_line(self, variable: str, text: str) -> None:
        lines = found({"REFERRAL_SECRET": SECRET, variable: text})
        if variable != "REFERRAL_ENV":
            assert [line.partition(": ")[0] for line in lines] in ([], [variable])

    @pytest.mark.parametrize("variable", WEBHOOK)
    def test_a_webhook_needs_both_settings(self, variable: str) -> None:
        (line,) = problems({"REFERRAL_SECRET": SECRET, variable: WEBHOOK[variable]})
        assert line.startswith(f"{variable}: set REFERRAL_WEBHOOK_")

    @pytest.mark.parametrize(
        ("content", "problem"),
        [
            (None, "there is no such file; a relative path starts in the working directory"),
            (b"", "must be an SVG, PNG, ICO or WebP file"),
            (b"GIF89a", "must be an SVG, PNG, ICO or WebP file"),
            (ICON.read_bytes() + 100_000 * b" ", "the file is larger than 100 KB: save a smaller"),
            (ICON.read_bytes()[:-9], "the SVG is not valid XML in line 1"),
        ],
    )
    def test_a_file_that_is_no_small_image_is_refused(
        self, content: bytes | None, problem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Its name does not matter. The path is relative to the working directory."""
        monkeypatch.chdir(tmp_path)
        if content is not None:
            (tmp_path / "logo.png").write_bytes(content)
        for variable in ("REFERRAL_LOGO", "REFERRAL_FAVICON"):
            (line,) = problems({"REFERRAL_SECRET": SECRET, variable: "logo.png"})
            assert line.startswith(f"{variable}: {problem}")

    def test_a_file_that_cannot_be_read_is_refused(self) -> None:
        (line,) = problems({"REFERRAL_SECRET": SECRET, "REFERRAL_LOGO": "/proc/self/mem"})
        assert line.startswith("REFERRAL_LOGO: the file cannot be read: ")

    def test_a_light_accent_colour_is_refused_with_the_nearest(self) -> None:
        (line,) = problems({"REFERRAL_SECRET": SECRET, "REFERRAL_ACCENT": "#fc0"})
        assert line == (
            "REFERRAL_ACCENT: links in this colour would have a contrast of 1.4:1, and need 4.5:1; "
            "the nearest colour that has it is #8c6e00"
        )
        assert read(REFERRAL_ACCENT="#8c6e00").palette.light.accent == "#8c6e00"

    @pytest.mark.parametrize("text", ["hunter2", "hunter2" * 9 + "\udcff"])
    def test_a_wrong_secret_is_not_repeated(self, text: str) -> None:
        (line,) = problems({"REFERRAL_SECRET": text})
        assert "hunter2" not in line
        assert "`referral secret new`" in line

    @given(
        st.sampled_from(
            sorted(name for name in settings.variable_names() if name.endswith(("URL", "NS", "LS")))
        ),
        st.sampled_from(["https", "http", "postgres", "twilio", "sqlite"]),
        st.text(st.sampled_from("a/:@[]#?{}℀\udcff .1"), max_size=8),
    )
    @example("REFERRAL_PUBLIC_URL", "https", "℀.example")
    def test_a_password_in_a_url_is_not_repeated(
        self, variable: str, scheme: str, end: str
    ) -> None:
        given = {"REFERRAL_SECRET": SECRET, variable: f"{scheme}://user:hunter2@host{end}"}
        assert "hunter2" not in "".join(found(given))

    @pytest.mark.parametrize(
        ("variable", "hint"),
        [
            ("REFERRAL_RESEND_WAIT", "; did you mean REFERRAL_RESEND_WAITS?"),
            ("REFERRAL_SECRETS", "; did you mean REFERRAL_SECRET?"),
            ("REFERRAL_CODE_LIFE", "; did you mean REFERRAL_CODE_"),
            ("REFERRAL_SERVICES", "; correct its name or remove it"),
            ("REFERRAL_", "; correct its name or remove it"),
            ("REFERRAL_XXXXXXXXXXXXXXXXXXXXXXXX", "; correct its name or remove it"),
        ],
    )
    def test_an_unknown_variable_is_refused(self, variable: str, hint: str) -> None:
        """Even with an empty value."""
        for text in ("1", ""):
            (line,) = problems({"REFERRAL_SECRET": SECRET, variable: text})
            assert line.startswith(f"{variable}: there is no such setting{hint}")

    def test_variables_without_the_prefix_are_ignored(self) -> None:
        assert read(REFERRALS="1", referral_env="x", PATH="/bin", XREFERRAL_ENV="x") == read()

    @pytest.mark.parametrize(
        "variable",
        [
            "REFERRAL_SERVICE_HOST",
            "REFERRAL_SERVICE_PORT_HTTP",
            "REFERRAL_PORT",
            "REFERRAL_PORT_8000_TCP_ADDR",
        ],
    )
    def test_variables_of_kubernetes_are_ignored(self, variable: str) -> None:
        """Kubernetes sets them in every container beside a Service that is called `referral`."""
        assert read(**{variable: "tcp://10.0.0.1:8000"}) == read()

    def test_all_problems_are_reported_together(self) -> None:
        lines = problems(
            {
                "REFERRAL_ENV": "production",
                "REFERRAL_CODE_LENGTH": "3",
                "REFERRAL_COST_GUARD": "on",
                "REFERRAL_CODE_LENGHT": "4",
                "PORT": "http",
            }
        )
        assert [line.partition(": ")[0] for line in lines] == [
            "PORT",
            "DATABASE_URL",
            "REFERRAL_SECRET",
            "REFERRAL_TRUSTED_PROXIES",
            "REFERRAL_PUBLIC_URL",
            "REFERRAL_SMS_URL",
            "REFERRAL_CODE_LENGTH",
            "REFERRAL_COST_GUARD",
            "REFERRAL_CODE_LENGHT",
        ]


class TestChannels:
    """The settings of channels go together, or one line says what to change."""

    @pytest.mark.parametrize("sms", [None, "simulated://", "console://", "simulated://?delay=0"])
    @pytest.mark.parametrize("channel", list(CHANNELS)[1:])
    def test_a_channel_needs_a_real_gateway_or_none(self, channel: str, sms: str | None) -> None:
        given = {"REFERRAL_SECRET": SECRET, channel: CHANNELS[channel]}
        beside = {} if sms is None else {"REFERRAL_SMS_URL": sms}
        (line,) = problems({**given, **beside})
        assert line.startswith("REFERRAL_SMS_URL: set it to a real gateway, such as twilio://")
        assert line.endswith(f"since {channel} is set")
        assert found({**given, "REFERRAL_SMS_URL": HOOK}) == []

    def test_several_channels_need_a_real_gateway(self) -> None:
        (line,) = problems(
            {"REFERRAL_SECRET": SECRET, **CHANNELS, "REFERRAL_SMS_URL": "console://"}
        )
        first, second, third = list(CHANNELS)[1:]
        assert line.endswith(f", since {first}, {second} and {third} are set")

    @pytest.mark.parametrize("variable", ["REFERRAL_TELEGRAM_URL", "REFERRAL_WHATSAPP_URL"])
    def test_a_messenger_may_replace_sms(self, variable: str) -> None:
        made = read(REFERRAL_SMS_URL="none", **{variable: CHANNELS[variable]})
        assert made.sms_urls == ()
        assert not made.sending_is_simulated
        assert made.limits == Limits()
        assert made.cost_guard == "block"
        assert len(made.channels.rules.plan("DE")) == 1

    @pytest.mark.parametrize("beside", [{}, {"REFERRAL_VOICE_URL": VOICE}])
    def test_a_phones_first_code_cannot_be_a_call(self, beside: dict[str, str]) -> None:
        (line,) = problems({"REFERRAL_SECRET": SECRET, "REFERRAL_SMS_URL": "none", **beside})
        assert line.startswith("REFERRAL_SMS_URL: none needs REFERRAL_TELEGRAM_URL or ")

    @pytest.mark.parametrize(
        ("variable", "text", "problem"),
        [
            ("REFERRAL_CHANNELS", "sms,voice", "must not name voice"),
            ("REFERRAL_CHANNELS", "telegram,sms,sms", "names sms twice"),
            (
                "REFERRAL_CHANNELS",
                "telegram,fax",
                'does not know "fax": write sms, telegram, whatsapp, voice between commas, such ',
            ),
            ("REFERRAL_CHANNELS", "telegram;sms", 'does not know "telegram;sms": write '),
            ("REFERRAL_CHANNELS", "sms,,telegram", 'does not know "": write '),
            ("REFERRAL_CHANNELS", "sms,Token0123", "does not know one of these names: write "),
            ("REFERRAL_CHANNELS", 21 * "a", "does not know one of these names: write "),
            (
                "REFERRAL_CHANNELS_RU",
                "whatsapp",
                "names whatsapp, which is not set up: set REFERRAL_WHATSAPP_URL, or take ",
            ),
            *(
                (name, "sms", "there is no such setting; REFERRAL_CHANNELS_XX needs the country's ")
                for name in (
                    *(f"REFERRAL_CHANNELS_{each}" for each in ("ZZ", "XX", "UK", "ru", "RUS")),
                    "REFERRAL_CHANNEL_RU",
                )
            ),
            (
                "REFERRAL_CHANNEL",
                "sms",
                "there is no such setting; did you mean REFERRAL_CHANNELS?",
            ),
            ("REFERRAL_COSTS", "voice=0", "voice: must be a whole number from 1 to 1000"),
            ("REFERRAL_COSTS", "voice=0.5", "voice: must be a whole number"),
            ("REFERRAL_COSTS", "sms:1", "write NAME=NUMBER, such as sms=1,voice=5"),
            ("REFERRAL_COSTS", "fax=1", 'does not know "fax": write '),
            ("REFERRAL_COSTS", "sms=1,voice=5,sms=2", "names sms twice"),
            ("REFERRAL_SMS_APP_HASHES", "FA+9qCX9VS", "must be hashes of 11 characters"),
            ("REFERRAL_SMS_APP_HASHES", "FA+9qCX9VSu;x", "must be hashes of 11 characters"),
            ("REFERRAL_TELEGRAM_URL", TWILIO, "telegram+gateway:// needs the API token"),
            ("REFERRAL_VOICE_URL", TELEGRAM, "twilio+voice:// needs the SID"),
        ],
    )
    def test_a_wrong_value_says_what_to_correct(
        self, variable: str, text: str, problem: str
    ) -> None:
        given = {"REFERRAL_SMS_URL": HOOK, "REFERRAL_TELEGRAM_URL": TELEGRAM, variable: text}
        (line,) = problems({"REFERRAL_SECRET": SECRET, **given})
        assert line.startswith(f"{variable}: {problem}")

    def test_an_order_may_need_the_gateway_of_sms(self) -> None:
        given = {"REFERRAL_SMS_URL": "none", "REFERRAL_TELEGRAM_URL": TELEGRAM}
        (line,) = problems({"REFERRAL_SECRET": SECRET, **given, "REFERRAL_CHANNELS": "sms"})
        assert "set REFERRAL_SMS_URL, or take sms out" in line

    def test_a_wrong_url_is_the_only_problem_without_sms(self) -> None:
        given = {"REFERRAL_SMS_URL": "none", "REFERRAL_TELEGRAM_URL": "telegram+gateway://"}
        (line,) = problems({"REFERRAL_SECRET": SECRET, **given})
        assert line.startswith("REFERRAL_TELEGRAM_URL: ")

    def test_repr_shows_no_secret(self) -> None:
        secrets = {
            "REFERRAL_SECRET": SECRET,
            "DATABASE_URL": "postgres://referral:password-of-database@127.0.0.1/referral",
            "REFERRAL_SMS_URL": HOOK,
            "REFERRAL_TELEGRAM_URL": TELEGRAM,
            "REFERRAL_VOICE_URL": VOICE,
            "REFERRAL_WEBHOOK_URL": "https://r.example/hook?token=of-the-webhook",
            "REFERRAL_WEBHOOK_SECRET": f"whsec_{32 * 'A'}",
            "REFERRAL_METRICS_TOKEN": "token-of-the-metrics-0123456789abcdef",
        }
        shown = repr(settings.parse(secrets, today=TODAY))
        assert "http://127.0.0.1:8000" in shown
        assert [name for name, text in secrets.items() if text in shown] == []
        assert "password-of-database" not in shown


class TestProduction:
    def test_the_required_settings_suffice(self) -> None:
        assert settings.parse(PRODUCTION, today=TODAY).in_production

    @pytest.mark.parametrize(
        ("variable", "text"),
        [
            *((name, text) for name in list(PRODUCTION)[1:] for text in ("", " ", "\t\n")),
            ("REFERRAL_SECRET", ","),
            ("REFERRAL_SECRET", " , ,"),
            ("REFERRAL_SECRET", "x" * 31),
            ("REFERRAL_SECRET", "x" * 64),
            ("REFERRAL_SECRET", "password" * 8),
            ("REFERRAL_SECRET", f"{SECRET},{'changeme' * 4}"),
            ("REFERRAL_PUBLIC_URL", "http://referral.example"),
            ("REFERRAL_PUBLIC_URL", "http://127.0.0.1:8000"),
            ("REFERRAL_SMS_URL", "console://"),
            ("REFERRAL_SMS_URL", f"{TWILIO},simulated://"),
            ("REFERRAL_SMS_URL", f"{TWILIO},console://"),
            ("REFERRAL_SMS_URL", HOOK.replace("https", "http")),
            ("REFERRAL_WEBHOOK_URL", "http://r.example/hook"),
        ],
    )
    def test_wrong_values_are_refused(
        self, variable: str, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """One line names the variable, and no secret is created."""
        monkeypatch.chdir(tmp_path)
        beside = BESIDE.get(variable, {})
        (line,) = problems({**PRODUCTION, **beside, variable: text})
        assert line.startswith(f"{variable}: ")
        assert not list(tmp_path.iterdir())

    @pytest.mark.parametrize("variable", list(PRODUCTION)[1:])
    def test_a_missing_setting_is_refused(self, variable: str) -> None:
        (line,) = problems({name: PRODUCTION[name] for name in PRODUCTION if name != variable})
        assert line.startswith(f"{variable}: ")

    def test_sqlite_is_accepted(self) -> None:
        given = {**PRODUCTION, "DATABASE_URL": "sqlite:///data/referral.sqlite3"}
        assert settings.parse(given, today=TODAY).sqlite_path == Path("/data/referral.sqlite3")

    @pytest.mark.parametrize(
        "url", [TWILIO, HOOK, HOOK.replace("https://team.example", "http://127.0.0.1:9000")]
    )
    def test_a_real_gateway_has_the_default_limits(self, url: str) -> None:
        made = settings.parse({**PRODUCTION, "REFERRAL_SMS_URL": url}, today=TODAY)
        assert made.limits == Limits()
        assert made.limits.code_length == 6
        assert not made.is_open_demo

    def test_no_proxy_is_accepted(self) -> None:
        made = settings.parse({**PRODUCTION, "REFERRAL_TRUSTED_PROXIES": "0"}, today=TODAY)
        assert made.trusted_proxies == 0


class TestEnvironmentFile:
    def test_the_environment_wins_over_the_file(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        (tmp_path / ".env").write_text(
            f"REFERRAL_SECRET='{SECRET}'\nREFERRAL_CODE_TTL=60 # seconds\nPORT=9000\nREFERRAL_ENV\n"
        )
        monkeypatch.setenv("PORT", "9001")
        made = settings.load(today=TODAY)
        assert made.secrets == (SECRET.encode(),)
        assert (made.limits.code_life, made.port) == (60, 9001)

    def test_an_unknown_variable_in_the_file_is_refused(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        (tmp_path / ".env").write_text("REFERRAL_CODE_LENGHT=8\n")
        with pytest.raises(SettingsError, match="did you mean REFERRAL_CODE_LENGTH"):
            settings.load(today=TODAY)


class TestDevelopmentSecret:
    def test_it_is_created_once_beside_the_database(self, tmp_path: Path) -> None:
        variables = {"DATABASE_URL": f"sqlite://{tmp_path}/referral.sqlite3"}
        first = settings.parse(variables, today=TODAY)
        (file,) = tmp_path.iterdir()
        assert file == tmp_path / "referral.sqlite3.secret"
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert first.secrets == (file.read_bytes(),)
        assert len(first.secrets[0]) >= 32
        assert settings.parse(variables, today=TODAY) == first
        assert list(tmp_path.iterdir()) == [file]

    def test_two_databases_have_two_secrets(self, tmp_path: Path) -> None:
        one, other = (
            settings.parse({"DATABASE_URL": f"sqlite://{tmp_path}/{name}"}, today=TODAY).secrets
            for name in ("one", "other")
        )
        assert one != other

    def test_with_postgres_it_is_in_the_working_folder(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        settings.parse({"DATABASE_URL": "postgres://h/d"}, today=TODAY)
        assert [file.name for file in tmp_path.iterdir()] == ["referral.secret"]

    def test_a_secret_in_the_settings_creates_no_file(self, tmp_path: Path) -> None:
        read(DATABASE_URL=f"sqlite://{tmp_path}/referral.sqlite3")
        assert not list(tmp_path.iterdir())

    def test_a_wrong_setting_creates_no_file(self, tmp_path: Path) -> None:
        problems({"DATABASE_URL": f"sqlite://{tmp_path}/db", "PORT": "http"})
        assert not list(tmp_path.iterdir())

    def test_a_file_without_a_secret_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "db.secret").write_text("short")
        (line,) = problems({"DATABASE_URL": f"sqlite://{tmp_path}/db"})
        assert "db.secret holds no secret" in line

    def test_a_missing_folder_is_refused(self, tmp_path: Path) -> None:
        (line,) = problems({"DATABASE_URL": f"sqlite://{tmp_path}/no/db"})
        assert line == f"DATABASE_URL: there is no folder {tmp_path}/no; create it"

    def test_concurrent_processes_share_one_secret(self, tmp_path: Path) -> None:
        """Four processes start on forty new databases at about the same time."""
        script = (
            "import sys, datetime\n"
            "from referral.settings import parse\n"
            "print('ready', flush=True)\n"
            "sys.stdin.readline()\n"
            "for number in range(40):\n"
            "    variables = {'DATABASE_URL': f'sqlite://{number}.sqlite3'}\n"
            "    print(parse(variables, today=datetime.date(2026, 1, 1)).secrets[0].decode())\n"
        )
        started = [
            subprocess.Popen(
                [sys.executable, "-c", script],
                cwd=tmp_path,
                env=environment(tmp_path),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for _ in range(4)
        ]
        for process in started:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        for process in started:
            assert process.stdin is not None
            process.stdin.write("\n")
            process.stdin.flush()
        first, *others = [process.communicate(timeout=60)[0].split() for process in started]
        assert len(set(first)) == 40
        assert others == [first] * 3
        assert len(list(tmp_path.iterdir())) == 40


def _changed(limits: Limits, name: str, value: int) -> Limits:
    values = {field.name: getattr(limits, field.name) for field in fields(Limits)}
    return Limits(**{**values, name: value})


class TestLocales:
    """The messages in a team's own catalogues; tests/core/test_team_catalogues.py has the rest."""

    def write(self, folder: Path, msgid: str, msgstr: str) -> dict[str, str]:
        file = folder / "en" / "LC_MESSAGES" / "referral.po"
        file.parent.mkdir(parents=True)
        file.write_text(f'msgid "{msgid}"\nmsgstr "{msgstr}"\n', encoding="utf-8")
        return {"REFERRAL_LOCALES": str(folder)}

    @pytest.mark.parametrize("text", ["{code} {app} @evil.example", "{code} {app} #123456"])
    def test_a_message_does_not_imitate_our_last_line(self, tmp_path: Path, text: str) -> None:
        (line,) = problems({"REFERRAL_SECRET": SECRET, **self.write(tmp_path, messages.CODE, text)})
        assert line.startswith("REFERRAL_LOCALES: en: ")
        assert "@ or #" in line

    def test_a_message_of_more_sms_is_a_warning(self, tmp_path: Path) -> None:
        made = read(
            **self.write(
                tmp_path,
                messages.CODE,
                "{code} — your code, dear friend of {app} and of its friends",
            )
        )
        (line,) = made.locales.warnings
        assert "takes 2 SMS, and ours 1" in line

    def test_a_short_message_is_used(self, tmp_path: Path) -> None:
        made = read(**self.write(tmp_path, messages.CODE, "{code}: {app} {"))
        assert not made.locales.warnings
        words = made.locales.languages["en"].gettext(messages.CODE)
        text = messages.text(words, app_name="A", domain="a.example", code="12")
        assert text == "12: A {\n@a.example #12"
