"""The page /admin/clients, and what the other pages say about apps."""

from __future__ import annotations

import re
from urllib.parse import urlencode

import pytest

from pages import (
    Browser,
    browsing,
    error_of,
    found,
    notice_on,
    reasons_on,
    reauthenticate,
    signed_in,
    value_of,
)
from referral.http.pages.admin.audit import ACTIONS
from referral.openid import clients, signing_keys
from relying_party import CALLBACK, App, claims_of, register
from support import Service, context_of, ok

PATH = "/admin/clients"
SHOP = {"name": "Shop & Co", "redirect_uri": CALLBACK}


def made_on(page: str, service: Service) -> App:
    """Return the client whose secret, if any, a page shows."""
    client_id = found(r"<code>client_id</code></dt><dd><code>([^<]+)<", page)
    shown = re.search(r'id="new-secret" class="secret">([^<]+)<', page)
    return App(service, client_id, shown[1] if shown else None, CALLBACK)


async def is_accepted(app: App) -> bool:
    """Return whether the token endpoint accepts the credentials."""
    return bool((await app.exchange("no code")).json()["error"] == "invalid_grant")


async def test_a_secret_is_shown_once(service: Service, admin: Browser) -> None:
    """With what else the app needs. It is in no URL and not shown again."""
    assert await admin.submit(PATH, **SHOP) == PATH
    page = await admin.see(PATH)
    app = made_on(page, service)
    assert f"issuer</code></dt><dd><code>{context_of(service).issuer.url}<" in page
    assert f"redirect_uri</code></dt><dd><code>{CALLBACK}<" in page
    assert "openid phone profile email referral offline_access</code>" in page
    async with browsing(service) as browser:
        assert await app.tokens(browser)
    again = await admin.see(PATH)
    assert app.secret is not None
    assert app.secret not in again
    assert "new-secret" not in again
    for text in ("Shop & Co", app.client_id, CALLBACK):
        assert text in again


async def test_a_client_with_every_choice(service: Service, admin: Browser) -> None:
    page = await admin.submit_and_see(
        PATH,
        name="Shop",
        redirect_uri=f" {CALLBACK}  http://127.0.0.1/done ",
        post_logout_redirect_uri="https://shop.example/",
        kind="without_pkce",
        account="yes",
        audience="https://b.example",
    )
    [client] = await clients.list_all()
    assert client.id == made_on(page, service).client_id
    assert clients.uris(client.redirect_uris) == [CALLBACK, "http://127.0.0.1/done"]
    assert client.post_logout_redirect_uris == "https://shop.example/"
    assert (client.is_public, client.requires_pkce) == (False, False)
    assert (client.account_allowed, client.audience) == (True, "https://b.example")
    assert "without PKCE" in page


async def test_a_public_client_has_no_secret(service: Service, admin: Browser) -> None:
    page = await admin.submit_and_see(PATH, **SHOP, kind="public")
    app = made_on(page, service)
    assert app.secret is None
    assert "It has no secret." in page
    assert await is_accepted(app)
    assert f"{app.client_id}/rotate" not in page
    response = await admin.http.post(f"{PATH}/{app.client_id}/rotate", headers=_own())
    assert response.status_code == 400


@pytest.mark.parametrize(
    ("field", "text"),
    [
        ("name", ""),
        ("name", "Taken"),
        ("redirect_uri", ""),
        ("redirect_uri", "http://shop.example/callback"),
        ("post_logout_redirect_uri", "x"),
        ("audience", "shop"),
    ],
)
async def test_wrong_fields_are_refused_beside_them(
    service: Service, admin: Browser, field: str, text: str
) -> None:
    """All that was typed and chosen is still there."""
    await register(service, name="Taken")
    typed = {**SHOP, "audience": "https://b.example", field: text}
    page = await admin.submit_and_see(PATH, **typed, kind="public", account="yes")
    assert error_of(page, field).startswith("Enter ")
    for name, value in typed.items():
        assert value_of(page, name) == value
    assert '<option value="public" selected>' in page
    assert re.search(r'name="account"[^>]* checked', page)
    assert len(await clients.list_all()) == 1


async def test_long_redirect_uris_are_not_cut(service: Service, admin: Browser) -> None:
    """Otherwise the rest of a URI would be registered with the corrected name."""
    await register(service, name="Taken")
    uris = " ".join(f"https://{number}.shop.example/callback" for number in range(20))
    page = await admin.submit_and_see(PATH, name="Taken", redirect_uri=uris)
    assert value_of(page, "redirect_uri") == uris


@pytest.mark.parametrize("character", ["\U0001f469", '"', "x", "\x01"])
async def test_typed_texts_fit_into_a_cookie(admin: Browser, character: str) -> None:
    """Browsers may drop a cookie of over 4096 bytes (RFC 6265, section 6.1)."""
    names = ("name", "redirect_uri", "post_logout_redirect_uri", "audience", "kind", "account")
    text = urlencode(dict.fromkeys(names, 800 * character))
    response = await admin.http.post(PATH, content=text, headers=_own())
    assert response.status_code == 303
    [cookie] = response.headers.get_list("set-cookie")
    assert len(cookie) < 4096


async def test_both_secrets_work_until_the_old_one_ends(service: Service, admin: Browser) -> None:
    first = made_on(await admin.submit_and_see(PATH, **SHOP), service)
    where = f"{PATH}/{first.client_id}"
    assert f"{where}/finish" not in await admin.see(PATH)
    page = await admin.submit_and_see(f"{where}/rotate")
    second = made_on(page, service)
    assert second.client_id == first.client_id
    assert await is_accepted(first)
    assert await is_accepted(second)
    assert "two secrets" in page
    page = await admin.submit_and_see(f"{where}/finish")
    assert notice_on(page) == "The old secret no longer works."
    assert f"{where}/finish" not in page
    assert not await is_accepted(first)
    assert await is_accepted(second)


async def test_a_deleted_client_can_do_nothing(service: Service, admin: Browser) -> None:
    """Its sessions have ended. A second click changes nothing."""
    app = await register(service)
    async with browsing(service) as browser:
        tokens = await app.tokens(browser, scope="openid offline_access")
        for _ in range(2):
            page = await admin.submit_and_see(f"{PATH}/{app.client_id}/delete")
            assert notice_on(page).startswith("The app is deleted")
        assert "There are none." in page
        assert (await browser.get(app.url())).status_code == 400
    bearer = f"Bearer {tokens['access_token']}"
    assert (await service.get("/oauth/userinfo", Authorization=bearer)).status_code == 401
    assert (await app.refresh(tokens["refresh_token"])).json()["error"] == "invalid_client"


async def test_every_change_needs_a_fresh_sign_in(service: Service, admin: Browser) -> None:
    """Somebody who finds the browser unlocked gets no secret. The typed text comes back."""
    app = await register(service)
    service.clock.move(minutes=16)
    for action in ("rotate", "finish", "delete"):
        where = await admin.submit(f"{PATH}/{app.client_id}/{action}")
        assert where.startswith(f"/again?next={PATH}%3Fdraft%3D")
    assert await is_accepted(app)
    delete = f"{PATH}/{app.client_id}/delete"
    where = await admin.submit(delete, reason="Not ours")
    assert reasons_on(await admin.see(await reauthenticate(admin, where))) == {delete: "Not ours"}
    service.clock.move(minutes=16)
    where = await admin.submit(PATH, **SHOP, kind="public")
    assert where.startswith(f"/again?next={PATH}%3Fdraft%3D")
    page = await admin.see(await reauthenticate(admin, where))
    assert notice_on(page).startswith("Nothing is changed yet.")
    assert value_of(page, "name") == SHOP["name"]
    assert value_of(page, "redirect_uri") == CALLBACK
    assert '<option value="public" selected>' in page
    assert len(await clients.list_all()) == 1


async def test_every_change_asks_for_confirmation(service: Service, admin: Browser) -> None:
    app = await register(service)
    page = await admin.submit_and_see(f"{PATH}/{app.client_id}/rotate")
    asking = re.findall(r'<details class="ask">.*?action="([^"]+)".*?</details>', page, re.DOTALL)
    where = f"{PATH}/{app.client_id}"
    assert asking == [f"{where}/rotate", f"{where}/finish", f"{where}/delete"]


async def test_changes_are_for_administrators_only(service: Service, admin: Browser) -> None:
    """Other sites cannot make an administrator's browser do them either."""
    app = await register(service)
    paths = (PATH, *(f"{PATH}/{app.client_id}/{each}" for each in ("rotate", "finish", "delete")))
    async with signed_in(service) as browser:
        for path in paths:
            assert (await browser.http.post(path, headers=_own())).status_code == 403
    for path in paths:
        response = await admin.http.post(path, headers={"Origin": "https://evil.example"})
        assert response.status_code == 403
    assert await is_accepted(app)
    assert len(await clients.list_all()) == 1


async def test_unknown_clients_and_actions(service: Service, admin: Browser) -> None:
    app = await register(service)
    for path in ("nobody/rotate", "%00/finish", f"{app.client_id}/bless"):
        response = await admin.http.post(f"{PATH}/{path}", headers=_own())
        assert response.status_code == 404


async def test_the_audit_trail_has_every_change(service: Service, admin: Browser) -> None:
    """The page has words for each action."""
    app = made_on(await admin.submit_and_see(PATH, **SHOP), service)
    for action in ("rotate", "finish", "delete"):
        await admin.submit(f"{PATH}/{app.client_id}/{action}")
    await signing_keys.rotate(context_of(service))
    key = await service.api_key()
    done = [each["action"] for each in ok(await key.call("GET", "/audit"))["items"]]
    assert done[1:6] == [
        "signing_key_rotated",
        "client_deleted",
        "client_rotation_finished",
        "client_secret_rotated",
        "client_made",
    ]
    page = await admin.see("/admin/audit")
    for action in done:
        assert f"<b>{ACTIONS[action]}</b>" in page
    assert app.secret is not None
    assert app.secret not in page


async def test_the_sessions_page_names_the_app(service: Service) -> None:
    app = await register(service, name="Shop & Co")
    async with signed_in(service) as browser:
        tokens = await app.tokens(browser, scope="openid offline_access")
        page = await browser.see("/me/sessions")
        assert re.search(r'<b><bdi>Shop & Co</bdi></b> <span class="badge">app<', page)
        await browser.submit(f"/me/sessions/{claims_of(tokens['id_token'])['sid']}/end")
        assert "Shop & Co" not in await browser.see("/me/sessions")
    bearer = f"Bearer {tokens['access_token']}"
    assert (await service.get("/oauth/userinfo", Authorization=bearer)).status_code == 401


def _own() -> dict[str, str]:
    return {"Origin": "http://127.0.0.1:8000", "Content-Type": "application/x-www-form-urlencoded"}
