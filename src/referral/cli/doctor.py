"""Is everything as it should be?"""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit

import rich_click as click

from referral.cli import common
from referral.core import data_keys
from referral.core.keys import Keyring, Purpose
from referral.limits import takeovers
from referral.limits.gcra import DAY
from referral.limits.policy import Limits
from referral.messaging.gateways import reach, urls
from referral.settings import Settings
from referral.storage import data_keys as stored
from referral.storage import migrate, write_check


@click.command()
def doctor() -> None:
    """Check settings, database, migrations, keys and hosts, and say what to do. Sends nothing."""
    settings = common.settings()
    _say("settings", f"good, {settings.environment}")
    _say("public URL", settings.public_url)
    _say("sending", urls.describe(settings.sms_urls))
    if settings.is_open_demo:
        _say("", "an open demo: anybody can sign in as any phone, and nobody administers")
    _say("cost guard", settings.cost_guard)
    keys = Keyring(settings.secrets)
    _say("keys", ", ".join(key.kid for key in keys.all(Purpose.ACCESS)) + " (the first makes)")
    _say("proxies", _proxies(settings.trusted_proxies))
    _say("metrics", _metrics(settings))
    _guessing(settings.limits)
    problems = asyncio.run(_check_hosts(settings))
    if settings.sqlite_path is not None and not settings.sqlite_path.exists():
        common.fail(*problems, "there is no database yet: run `referral migrate`")
    problems += common.with_database(lambda _: _check_database(settings, keys), migrated=False)
    if problems:
        common.fail(*problems)
    click.echo("all is well")


async def _check_database(settings: Settings, keys: Keyring) -> list[str]:
    _say("database", f"answers, {common.without_password(settings.database_url)}")
    if missing := await migrate.pending():
        return [f"migrations: {', '.join(missing)} not applied; run `referral migrate`"]
    _say("migrations", "all applied")
    if why := await write_check.failure():
        return [f"database: it may be read and not written: {why}"]
    _say("", "may be written")
    rows = await stored.all_encrypted()
    closed = sum(data_keys.decrypt(row.encrypted, keys=keys) is None for row in rows)
    told = f"{closed} of {len(rows)} do not open; list the earlier secret too"
    if rows and closed == len(rows):
        return [f"kept secrets: {told}"]
    _say("kept secrets", told if closed else "open" if rows else "none yet; a start makes one")
    return []


async def _check_hosts(settings: Settings) -> list[str]:
    """Whether the team's receiver and the gateways can be connected to."""
    found: list[tuple[str, str, str | None]] = []
    if settings.webhook_url is None:
        _say("webhooks", "none; REFERRAL_WEBHOOK_URL says where events go")
    else:
        host = f"{urlsplit(settings.webhook_url).hostname}"
        secrets = len(settings.webhook_secrets)
        signed = "one secret" if secrets == 1 else f"{secrets} secrets"
        found.append(("webhooks", f"to {host}, signed with {signed}", settings.webhook_url))
    gateways = urls.endpoints(settings.sms_urls, production=settings.in_production)
    found += [("gateway", name, url) for name, url in gateways]
    failures = await asyncio.gather(*(_failure(url) for _, _, url in found))
    problems = []
    for (what, name, url), why in zip(found, failures, strict=True):
        _say(
            what, f"{name}: {why or ('answers' if url else 'its host is not known, so not tried')}"
        )
        if why:
            problems.append(f"{what}: {name}: cannot be connected to ({why})")
    return problems


async def _failure(url: str | None) -> str | None:
    return await reach.failure(url) if url else None


def _proxies(number: int) -> str:
    if not number:
        return "none: an address is the connection's own"
    return f"{number}: an address is entry {number} from the right of X-Forwarded-For"


def _metrics(settings: Settings) -> str:
    if settings.metrics_token:
        return "for clients that send REFERRAL_METRICS_TOKEN"
    if settings.in_production:
        return "none: /metrics is 404 until REFERRAL_METRICS_TOKEN is set"
    return "for everybody; in production REFERRAL_METRICS_TOKEN opens them"


def _guessing(limits: Limits) -> None:
    """What guessing codes gives at most, under the limits in force."""

    def of(phones: int, days: int, *, scale: int = 1) -> str:
        number = scale * takeovers.takeovers(limits, phones=phones, seconds=days * DAY)
        return f"{number:.2g}" if number < 100 else f"{number:,.0f}"  # noqa: PLR2004 - two digits do

    one = f"{of(1, 1, scale=100)} % in a day, {of(1, 365, scale=100)} % in a year"
    _say("guessing", f"one phone: a chance of at most {one}")
    many = f"{of(10_000, 1)} taken over in a day, {of(10_000, 365)} in a year"
    _say("", f"10,000 phones: at most {many}")


def _say(what: str, how: str) -> None:
    click.echo(f"{what:<13}{how}")
