"""`referral doctor` finds problems that would show only later."""

from __future__ import annotations

import ssl
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from socket import create_server
from threading import Thread

import pytest

from channels import providers
from fake_gateways import TELEGRAM_TOKEN, WHATSAPP_SECRET
from processes import done, free_port, new_postgres_database, referral
from proxies import make_certificate
from referral.assembly import system_clock
from referral.core.channels import Channel
from referral.core.keys import Keyring, Purpose
from referral.messaging.gateways import whatsapp_reports
from roles import create_role
from support import SECRET, context_of, running

WEBHOOK_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@pytest.fixture
def settings(tmp_path: Path) -> dict[str, str]:
    """Return the settings of a migrated database."""
    made = {"DATABASE_URL": f"sqlite://{tmp_path}/r.sqlite3", "REFERRAL_SECRET": SECRET}
    assert referral(tmp_path, "migrate", **made).returncode == 0
    return made


@pytest.mark.parametrize("privileges", ["SELECT", "SELECT, INSERT, UPDATE"])
async def test_a_role_without_the_right_to_write(
    tmp_path: Path, postgres_url: str, privileges: str
) -> None:
    url = await new_postgres_database(postgres_url)
    assert referral(tmp_path, "migrate", DATABASE_URL=url).returncode == 0
    found = referral(tmp_path, "doctor", DATABASE_URL=await create_role(url, privileges))
    assert found.returncode == 1
    (line,) = found.stderr.splitlines()
    expected = "referral: database: can be read but not written: permission denied for table "
    assert line.startswith(expected)


async def test_a_read_only_database(tmp_path: Path, postgres_url: str) -> None:
    """Like a standby."""
    url = await new_postgres_database(postgres_url)
    assert referral(tmp_path, "migrate", DATABASE_URL=url).returncode == 0
    read_only = f"{url}&default_transaction_read_only=on"
    found = referral(tmp_path, "doctor", DATABASE_URL=read_only)
    assert found.returncode == 1
    assert "read-only transaction" in found.stderr


@pytest.mark.parametrize("role", ["webhooks", "gateway"])
def test_a_host_that_refuses_connections(
    tmp_path: Path, settings: dict[str, str], role: str
) -> None:
    found = referral(tmp_path, "doctor", **settings, **sending_to(role, "http", free_port()))
    assert found.returncode == 1
    (line,) = found.stderr.splitlines()
    assert line.startswith(f"referral: {role}: ")
    assert "cannot be reached (ConnectionRefusedError); check its URL" in line
    assert WEBHOOK_SECRET not in found.stdout + found.stderr


@pytest.mark.parametrize("role", ["webhooks", "gateway"])
def test_a_host_that_accepts_connections(
    tmp_path: Path, settings: dict[str, str], role: str
) -> None:
    """The host is connected to, but sent nothing."""
    with closing(create_server(("127.0.0.1", 0))) as listener:
        variables = sending_to(role, "http", listener.getsockname()[1])
        found = referral(tmp_path, "doctor", **settings, **variables)
        listener.settimeout(5)
        connection, _ = listener.accept()
        assert connection.recv(1) == b""
        connection.close()
    assert found.returncode == 0, found.stderr
    (line,) = (line for line in found.stdout.splitlines() if line.startswith(role))
    assert line.endswith(": reachable")


def test_a_self_signed_certificate_is_reported(tmp_path: Path, settings: dict[str, str]) -> None:
    make_certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "fullchain.pem", tmp_path / "privkey.pem")
    with closing(create_server(("127.0.0.1", 0))) as listener:

        def shake_hands() -> None:
            connection, _ = listener.accept()
            with pytest.raises(ssl.SSLError):
                context.wrap_socket(connection, server_side=True)

        hands = Thread(target=shake_hands)
        hands.start()
        variables = sending_to("webhooks", "https", listener.getsockname()[1])
        found = referral(tmp_path, "doctor", **settings, **variables)
        hands.join(10)
    assert found.returncode == 1
    assert "(certificate error: self-signed certificate)" in found.stderr


def test_a_placeholder_as_metrics_token(tmp_path: Path, settings: dict[str, str]) -> None:
    token = "WHAT_openssl_rand_hex_16_PRINTS"
    found = referral(tmp_path, "doctor", **settings, REFERRAL_METRICS_TOKEN=token)
    assert found.returncode == 1
    assert found.stderr.startswith("referral: REFERRAL_METRICS_TOKEN: ")


def test_proxies_metrics_and_webhooks_are_shown(tmp_path: Path, settings: dict[str, str]) -> None:
    bare = referral(tmp_path, "doctor", **settings).stdout
    assert "proxies      none" in bare
    assert "metrics      for everybody" in bare
    assert "webhooks     none" in bare
    assert "writable" in bare
    set_ = referral(
        tmp_path,
        "doctor",
        **settings,
        **sending_to("webhooks", "http", free_port()),
        REFERRAL_TRUSTED_PROXIES="2",
        REFERRAL_METRICS_TOKEN="0123456789",
    ).stdout
    assert "proxies      2: a client's address is entry 2 from the right of X-Forwarded-For" in set_
    assert "metrics      for clients that send REFERRAL_METRICS_TOKEN" in set_
    assert "webhooks     to 127.0.0.1, signed with one secret" in set_
    assert "0123456789" not in set_


def test_channels_are_shown(tmp_path: Path, settings: dict[str, str]) -> None:
    """Their order, where reports go, and the verify token that Meta's handshake needs."""
    with providers() as fakes:
        variables = {
            **settings,
            **fakes.variables,
            "REFERRAL_SMS_URL": "none",
            "REFERRAL_CHANNELS_IN": "whatsapp",
            "REFERRAL_PUBLIC_URL": "https://r.example",
        }
        found = referral(tmp_path, "doctor", **variables)
    assert found.returncode == 0, found.stderr
    token = whatsapp_reports.verify_token(
        Keyring([SECRET.encode()]).current(Purpose.HANDSHAKE).secret
    )
    for line in (
        "sending      no SMS",
        "channels     telegram, then whatsapp; voice on request",
        "             IN: whatsapp, then telegram; voice on request",
        "             without SMS, a change of phone is not announced to the old phone",
        "reports      telegram: to https://r.example/hooks/delivery/telegram, which each message",
        "reports      whatsapp: enter https://r.example/hooks/delivery/whatsapp and the verify",
        f"verify token {token} in the settings of the app at Meta",
        "reports      twilio: to https://r.example/hooks/delivery/twilio, which each message names",
        f"gateway      telegram at {fakes.telegram.url}: reachable",
        f"gateway      whatsapp at {fakes.whatsapp.url}: reachable",
        f"gateway      twilio at {fakes.voice.url}: reachable",
    ):
        assert line in found.stdout
    assert TELEGRAM_TOKEN not in found.stdout
    assert WHATSAPP_SECRET not in found.stdout


def test_delivery_reports_need_https(tmp_path: Path, settings: dict[str, str]) -> None:
    with providers() as fakes:
        variables = settings | fakes.variables | {"REFERRAL_PUBLIC_URL": "http://127.0.0.1:8000"}
        found = referral(tmp_path, "doctor", **variables)
    for line in (
        "reports      telegram: none, since the public URL is not https",
        "in the settings of the app at Meta, which needs a public URL with https",
    ):
        assert line in found.stdout


def test_a_teams_own_texts_are_shown(tmp_path: Path, settings: dict[str, str]) -> None:
    """A text that we do not have is named with the nearest one, and stops nothing."""
    file = tmp_path / "own" / "en" / "LC_MESSAGES" / "referral.po"
    file.parent.mkdir(parents=True)
    text = 'msgid "Language"\nmsgstr "Lingo"\nmsgid "Langauge"\nmsgstr "Lingo"\n'
    file.write_text(text, encoding="utf-8")
    result = referral(tmp_path, "doctor", **settings, REFERRAL_LOCALES=str(tmp_path / "own"))
    assert result.returncode == 0, result.stderr
    assert "; your own texts: 1 in en, 1 ignored" in result.stdout
    assert 'line 3: "Langauge" is no text of ours' in result.stdout
    assert 'did you mean "Language"?' in result.stdout
    assert result.stdout.endswith("everything is in order, with warnings: 1\n")


async def test_the_channels_used_most(database_url: str, tmp_path: Path) -> None:
    """In the last 7 days, in the busiest ten countries; nothing if no message was sent."""
    settings = {"DATABASE_URL": database_url, "REFERRAL_SECRET": SECRET}
    now = system_clock()
    assert "used most" not in done(referral(tmp_path, "doctor", **settings))
    async with running(database_url) as service:
        counts = context_of(service).deliveries
        for phone, channel, number in (
            ("+77012345678", Channel.TELEGRAM, 83),
            ("+77012345678", Channel.SMS, 17),
            ("+919876543210", Channel.WHATSAPP, 6),
            ("+919876543210", Channel.SMS, 4),
        ):
            for _ in range(number):
                counts.count_sent(phone, channel, now - timedelta(days=6))
        for _ in range(1000):
            counts.count_sent("+4915112345678", Channel.SMS, now - timedelta(days=8))
    (line,) = (
        each
        for each in done(referral(tmp_path, "doctor", **settings)).splitlines()
        if "used most" in each
    )
    days = "used most    in the last 7 days: "
    assert line == f"{days}KZ telegram 83 %, IN whatsapp 60 %"


@pytest.mark.parametrize("mode", ["invited", "closed"])
def test_a_service_that_nobody_can_join(
    tmp_path: Path, settings: dict[str, str], mode: str
) -> None:
    """Until the first person is named."""
    variables = {**settings, "REFERRAL_SIGN_UP": mode, "REFERRAL_INVITES_PER_USER": "5"}
    found = referral(tmp_path, "doctor", **variables)
    assert found.returncode == 1
    (line,) = found.stderr.splitlines()
    assert line.startswith(f"referral: sign-up: REFERRAL_SIGN_UP={mode}, and there is no user")
    assert "`referral users add PHONE`" in line
    assert "an invite code admits 5" in found.stdout
    assert referral(tmp_path, "doctor", **settings).returncode == 0
    done(referral(tmp_path, "users", "add", "+79990000100", **variables))
    done(referral(tmp_path, "doctor", **variables))


def sending_to(role: str, scheme: str, port: int) -> dict[str, str]:
    """Return settings that send events, or messages, to this port."""
    if role == "webhooks":
        return {
            "REFERRAL_WEBHOOK_URL": f"{scheme}://127.0.0.1:{port}/hook",
            "REFERRAL_WEBHOOK_SECRET": WEBHOOK_SECRET,
        }
    return {"REFERRAL_SMS_URL": f"hook+{scheme}://127.0.0.1:{port}/?secret={WEBHOOK_SECRET}"}
