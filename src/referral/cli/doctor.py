"""Checking an installation."""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit

import rich_click as click

from referral.assembly import system_clock
from referral.cli import common, doctor_channels
from referral.core import data_keys
from referral.core.keys import Keyring, Purpose
from referral.core.sign_up import CLOSED, INVITED, OPEN, SignUpRules
from referral.limits import takeovers
from referral.limits.gcra import DAY
from referral.limits.policy import Limits
from referral.messaging import deliveries
from referral.messaging.gateways import reach, urls
from referral.settings import Settings
from referral.settings.locales import Locales
from referral.storage import data_keys as stored
from referral.storage import migrate, sign_up_grants, users, write_check

_CHANNELS_DAYS = 7
_CHANNELS_COUNTRIES = 10


@click.command()
def doctor() -> None:
    """Check settings, database, migrations, keys and hosts, and say what to do.

    It connects to the hosts of webhooks and SMS gateways, and sends them nothing.
    """
    settings = common.load_settings()
    _print("settings", f"valid, {settings.environment}")
    _print("public URL", settings.public_url)
    _print("sending", urls.describe(settings.sms_urls))
    if settings.is_open_demo:
        _print("", "an open demo: anybody can sign in as any phone, and nobody can administer")
    _print("cost guard", settings.cost_guard)
    _print("sign-up", _sign_up(settings.sign_up))
    _print("languages", _languages(settings.locales))
    for warning in settings.locales.warnings:
        _print("", warning)
    keys = Keyring(settings.secrets)
    for label, line in doctor_channels.describe(settings, keys):
        _print(label, line)
    key_ids = ", ".join(key.kid for key in keys.all(Purpose.ACCESS))
    _print("keys", f"{key_ids} (the first one signs)")
    _print("proxies", _proxies(settings.trusted_proxies))
    _print("metrics", _metrics(settings))
    _print_takeovers(settings.limits)
    problems = asyncio.run(_check_hosts(settings))
    if settings.sqlite_path is not None and not settings.sqlite_path.exists():
        common.fail(*problems, "there is no database yet: run `referral migrate`")
    problems += common.run_with_database(lambda _: _check_database(settings, keys), migrated=False)
    if problems:
        common.fail(*problems)
    warnings = len(settings.locales.warnings)
    but = f", with warnings: {warnings}" if warnings else ""
    click.echo(f"everything is in order{but}")


async def _check_database(settings: Settings, keys: Keyring) -> list[str]:
    _print("database", f"reachable, {common.mask_password(settings.database_url)}")
    if missing := await migrate.pending():
        return [f"migrations: {', '.join(missing)} not applied; run `referral migrate`"]
    _print("migrations", "all applied")
    if failure := await write_check.find_failure():
        advice = "check the rights of its role, and that it is not a standby"
        return [f"database: can be read but not written: {failure}; {advice}"]
    _print("", "writable")
    rows = await stored.all_encrypted()
    lost = sum(data_keys.decrypt(row.encrypted, keys=keys) is None for row in rows)
    if lost:
        effect = "so device tokens and remembered phones from then do not count"
        advice = "append the earlier secret to REFERRAL_SECRET"
        return [f"data keys: {lost} of {len(rows)} cannot be decrypted, {effect}; {advice}"]
    _print("data keys", "valid" if rows else "none yet; `serve` makes one")
    await _print_channels_used()
    return await _check_sign_up(settings.sign_up)


async def _print_channels_used() -> None:
    """Print which channel is used most in the busiest countries. Nothing if none is used yet."""
    figures = await deliveries.recent(system_clock(), hours=24 * _CHANNELS_DAYS)
    found = deliveries.leading_channels(figures, countries=_CHANNELS_COUNTRIES)
    if found:
        used = ", ".join(f"{each.country} {each.channel} {each.percent} %" for each in found)
        _print("used most", f"in the last {_CHANNELS_DAYS} days: {used}")


async def _check_sign_up(rules: SignUpRules) -> list[str]:
    """Return a problem if nobody can ever join."""
    if rules.mode == OPEN or await users.any_active() or await sign_up_grants.any_named():
        return []
    nobody = f"REFERRAL_SIGN_UP={rules.mode}, and there is no user and no administrator"
    advice = "name the first one with `referral users add PHONE` or `referral admin grant PHONE`"
    return [f"sign-up: {nobody}, so nobody can ever join; {advice}"]


async def _check_hosts(settings: Settings) -> list[str]:
    """Connect to the webhook endpoint and the gateways. Return a line for each that fails."""
    hosts: list[tuple[str, str, str | None]] = []
    if settings.webhook_url is None:
        _print("webhooks", "none; set REFERRAL_WEBHOOK_URL to receive events")
    else:
        host = f"{urlsplit(settings.webhook_url).hostname}"
        secrets = len(settings.webhook_secrets)
        signed = "one secret" if secrets == 1 else f"{secrets} secrets"
        hosts.append(("webhooks", f"to {host}, signed with {signed}", settings.webhook_url))
    gateways = urls.endpoints(settings.sms_urls)
    hosts += [("gateway", name, url) for name, url in gateways]
    hosts += doctor_channels.list_hosts(settings)
    failures = await asyncio.gather(*(_failure(url) for _, _, url in hosts))
    problems = []
    for (role, name, url), failure in zip(hosts, failures, strict=True):
        state = failure or ("reachable" if url else "not checked, its host is not known")
        _print(role, f"{name}: {state}")
        if failure:
            problems.append(
                f"{role}: {name}: cannot be reached ({failure}); check its URL and the network"
            )
    return problems


async def _failure(url: str | None) -> str | None:
    return await reach.failure(url) if url else None


def _sign_up(rules: SignUpRules) -> str:
    modes = {
        OPEN: "open to everybody",
        INVITED: "by invitation",
        CLOSED: "closed, but for phones of `referral users add`",
    }
    limits = [modes[rules.mode]]
    if rules.invites_per_user:
        limits.append(f"an invite code admits {rules.invites_per_user}")
    if rules.activation_days:
        limits.append(f"can be activated for {rules.activation_days} days")
    return "; ".join(limits)


def _languages(locales: Locales) -> str:
    tags = ", ".join(each.tag for each in locales.languages)
    own = ", ".join(f"{count} in {tag}" for tag, count in locales.texts)
    ignored = f", {locales.ignored} ignored" if locales.ignored else ""
    return f"{tags}; your own texts: {own or 'none'}{ignored}"


def _proxies(number: int) -> str:
    if not number:
        return "none: a client's address is that of its connection"
    return f"{number}: a client's address is entry {number} from the right of X-Forwarded-For"


def _metrics(settings: Settings) -> str:
    if settings.metrics_token:
        return "for clients that send REFERRAL_METRICS_TOKEN"
    if settings.in_production:
        return "none: /metrics responds 404 until REFERRAL_METRICS_TOKEN is set"
    return "for everybody; production needs REFERRAL_METRICS_TOKEN"


def _print_takeovers(limits: Limits) -> None:
    """Print how many phones can be taken over at most by guessing codes, under these limits."""

    def at_most(phones: int, days: int, *, scale: int = 1) -> str:
        number = scale * takeovers.takeovers(limits, phones=phones, seconds=days * DAY)
        return f"{number:.2g}" if number < 100 else f"{number:,.0f}"  # noqa: PLR2004 - two digits do

    one = f"{at_most(1, 1, scale=100)} % in a day, {at_most(1, 365, scale=100)} % in a year"
    _print("guessing", f"one phone: a chance of at most {one}")
    many = f"{at_most(10_000, 1)} taken over in a day, {at_most(10_000, 365)} in a year"
    _print("", f"10,000 phones: at most {many}")


def _print(label: str, state: str) -> None:
    click.echo(f"{label:<13}{state}")
