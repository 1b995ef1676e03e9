"""`referral client` and `referral signing-key`, each run as a process of its own."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from pages import browsing
from processes import done, referral, refusal
from referral.cli.common import mask_password
from relying_party import CALLBACK, App, claims_of
from support import Service, ok

NEW = ("client", "new", "Shop [v2]", "--redirect-uri", CALLBACK)


def values(text: str) -> dict[str, str]:
    """Return what a command printed as name=value, each on a line of its own."""
    lines = [line.partition("=") for line in text.splitlines()]
    assert all(separator for _, separator, _ in lines), text
    return {name: value for name, _, value in lines}


def client_of(service: Service, printed: str) -> App:
    credentials = values(printed)
    return App(service, credentials["client_id"], credentials.get("client_secret"), CALLBACK)


async def is_accepted(app: App) -> bool:
    """Return whether the token endpoint accepts the credentials."""
    error = (await app.exchange("no code")).json()["error"]
    assert error in {"invalid_grant", "invalid_client"}
    return bool(error == "invalid_grant")


async def test_a_new_client_signs_people_in(
    service: Service, on: dict[str, str], tmp_path: Path
) -> None:
    """Standard output has two lines for scripts; standard error has what else the app needs."""
    made = referral(tmp_path, *NEW, **on)
    printed = done(made)
    assert re.fullmatch(r"client_id=[0-9a-z]+\nclient_secret=[0-9a-z]{64}\n", printed)
    assert values(made.stderr) == {
        "issuer": "http://127.0.0.1:8000",
        "redirect_uri": CALLBACK,
        "scope": "openid phone profile email referral offline_access",
        "database": mask_password(on["DATABASE_URL"]),
    }
    app = client_of(service, printed)
    async with browsing(service) as browser:
        tokens = await app.tokens(browser)
    assert claims_of(tokens["access_token"])["aud"] == app.client_id
    listed = done(referral(tmp_path, "client", "list", **on))
    assert "Shop [v2]" in listed
    assert app.client_id in listed
    for by in ("Shop [v2]", app.client_id):
        shown = done(referral(tmp_path, "client", "show", by, **on))
        for text in ("Shop [v2]", app.client_id, CALLBACK, "confidential"):
            assert text in shown
        assert str(app.secret) not in shown


async def test_a_client_with_every_option(
    service: Service, on: dict[str, str], tmp_path: Path
) -> None:
    options = (
        *("--redirect-uri", "http://localhost:3000/done", "--without-pkce", "--scope", "account"),
        *("--post-logout-redirect-uri", "https://shop.example/", "--audience", "https://b.example"),
    )
    made = referral(tmp_path, *NEW, *options, **on)
    assert made.stderr.count("redirect_uri=") == 2
    assert values(made.stderr)["scope"].endswith(" offline_access account")
    app = client_of(service, done(made))
    async with browsing(service) as browser:
        code = await app.code(browser, code_challenge=None, code_challenge_method=None)
        assert ok(await app.exchange(code, code_verifier=""))
        tokens = await app.tokens(browser)
        assert claims_of(tokens["access_token"])["aud"] == "https://b.example"
        tokens = await app.tokens(browser, scope="openid account")
    bearer = f"Bearer {tokens['access_token']}"
    assert ok(await service.get("/api/v1/profile", Authorization=bearer))
    shown = done(referral(tmp_path, "client", "show", app.client_id, **on))
    for text in ("https://shop.example/", "https://b.example", "not required", "account"):
        assert text in shown


async def test_a_public_client_has_no_secret(
    service: Service, on: dict[str, str], tmp_path: Path
) -> None:
    printed = done(referral(tmp_path, *NEW, "--public", **on))
    app = client_of(service, printed)
    assert printed == f"client_id={app.client_id}\n"
    assert await is_accepted(app)
    assert "no secret" in refusal(referral(tmp_path, "client", "rotate", app.client_id, **on))


def test_wrong_options_are_refused(on: dict[str, str], tmp_path: Path) -> None:
    line = refusal(referral(tmp_path, *NEW, "--redirect-uri", "http://shop.example/", **on))
    assert "redirect_uri: Use https" in line
    assert "without_pkce: " in refusal(referral(tmp_path, *NEW, "--public", "--without-pkce", **on))
    assert "Shop" not in done(referral(tmp_path, "client", "list", **on))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("Shop",), "--redirect-uri"),
        (("Shop", "--redirect-uri", CALLBACK, "--scope", "phone"), "'phone' is not 'account'"),
    ],
)
def test_wrong_usage_is_explained(
    on: dict[str, str], tmp_path: Path, arguments: tuple[str, ...], words: str
) -> None:
    finished = referral(tmp_path, "client", "new", *arguments, **on)
    assert finished.returncode == 2
    assert words in finished.stderr


def test_wrong_names_are_refused(on: dict[str, str], tmp_path: Path) -> None:
    done(referral(tmp_path, *NEW, **on))
    assert "Choose another name" in refusal(referral(tmp_path, *NEW, **on))
    nameless = ("client", "new", " ", "--redirect-uri", CALLBACK)
    assert "name: " in refusal(referral(tmp_path, *nameless, **on))
    for command in ("show", "rotate", "delete"):
        unknown = refusal(referral(tmp_path, "client", command, "nobody", **on))
        assert "referral client list" in unknown


async def test_both_secrets_work_until_the_rotation_ends(
    service: Service, on: dict[str, str], tmp_path: Path
) -> None:
    first = client_of(service, done(referral(tmp_path, *NEW, **on)))
    second = client_of(service, done(referral(tmp_path, "client", "rotate", "Shop [v2]", **on)))
    assert second.client_id == first.client_id
    assert second.secret != first.secret
    assert await is_accepted(first)
    assert await is_accepted(second)
    done(referral(tmp_path, "client", "rotate", "--finish", "Shop [v2]", **on))
    assert not await is_accepted(first)
    assert await is_accepted(second)
    again = referral(tmp_path, "client", "rotate", "--finish", "Shop [v2]", **on)
    assert "only one secret" in refusal(again)
    assert await is_accepted(second)


@pytest.mark.parametrize(("answer", "is_deleted"), [("y\n", True), ("n\n", False)])
async def test_a_deletion_asks_and_ends_the_sessions(
    service: Service, on: dict[str, str], tmp_path: Path, answer: str, *, is_deleted: bool
) -> None:
    app = client_of(service, done(referral(tmp_path, *NEW, **on)))
    async with browsing(service) as browser:
        tokens = await app.tokens(browser, scope="openid offline_access")
    bearer: dict[str, Any] = {"Authorization": f"Bearer {tokens['access_token']}"}
    finished = referral(tmp_path, "client", "delete", "Shop [v2]", typed=answer, **on)
    assert (finished.returncode == 0) is is_deleted
    assert (await service.get("/oauth/userinfo", **bearer)).is_success is not is_deleted
    assert await is_accepted(app) is not is_deleted


def test_the_signing_key_rotates_in_10_minutes(on: dict[str, str], tmp_path: Path) -> None:
    printed = done(referral(tmp_path, "signing-key", "rotate", **on))
    said = re.search(r"from (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) UTC$", printed.strip())
    assert said is not None
    at = datetime.fromisoformat(said[1]).replace(tzinfo=UTC)
    wait = at - datetime.now(UTC)  # noqa: TID251 - the command's clock is the real one
    assert timedelta(minutes=9) < wait <= timedelta(minutes=10)
