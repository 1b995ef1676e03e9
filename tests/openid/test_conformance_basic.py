"""The OpenID Foundation's Basic plan: ID tokens, userinfo, scopes, codes and refresh tokens."""

from __future__ import annotations

from urllib.parse import urlencode

import jwt

from conformance import (
    Flow,
    checked_token_error,
    checked_tokens,
    checked_userinfo,
    client,
    request,
    sign_in,
    verified,
)
from pages import Browser, browsing, signed_in
from relying_party import VERIFIER, arrive, challenge_of
from support import Service, ok

FORM = {"Content-Type": "application/x-www-form-urlencoded"}


async def one_sign_in(service: Service, **parameters: str | None) -> Flow:
    async with browsing(service) as browser:
        return await sign_in(browser, await client(service), **parameters)


async def name_yourself(browser: Browser) -> None:
    await browser.submit("/me/account", name="Anna Ivanova", email="anna@example.com")


async def test_oidcc_server(service: Service) -> None:
    """The ID token has neither a name nor any other claim that was not requested."""
    flow = await one_sign_in(service)
    assert flow.claims.keys() == {
        *("iss", "sub", "aud", "exp", "iat", "auth_time", "nonce", "at_hash", "sid", "amr")
    }
    assert len(set(flow.code)) > 30
    assert (await flow.userinfo()).keys() == {"sub"}


async def test_oidcc_server_client_secret_post(service: Service) -> None:
    app = await client(service)
    assert app.secret is not None
    async with browsing(service) as browser:
        asked = request(app)
        url = await arrive(browser, asked.url)
    form = {
        "grant_type": "authorization_code",
        "code": asked.code_of(url),
        "redirect_uri": app.redirect_uri,
        "client_id": app.client_id,
        "client_secret": app.secret,
    }
    response = await service.http.post("/oauth/token", content=urlencode(form), headers=FORM)
    await verified(app, checked_tokens(response), nonce=asked.nonce)


async def test_oidcc_idtoken_signature(service: Service) -> None:
    header = jwt.get_unverified_header((await one_sign_in(service)).id_token)
    assert header["alg"] == "RS256"
    assert header["kid"]


async def test_oidcc_idtoken_unsigned(service: Service) -> None:
    """Skipped by the suite: `none` is not among the algorithms."""
    metadata = ok(await service.get("/.well-known/openid-configuration"))
    assert metadata["id_token_signing_alg_values_supported"] == ["RS256"]


async def test_oidcc_userinfo_get(service: Service) -> None:
    flow = await one_sign_in(service)
    assert (await flow.userinfo()) == {"sub": flow.claims["sub"]}


async def test_oidcc_userinfo_post_header(service: Service) -> None:
    flow = await one_sign_in(service)
    response = await service.http.post("/oauth/userinfo", headers={"Authorization": flow.bearer})
    checked_userinfo(response, flow)


async def test_oidcc_userinfo_post_body(service: Service) -> None:
    flow = await one_sign_in(service)
    body = urlencode({"access_token": flow.tokens["access_token"]})
    response = await service.http.post("/oauth/userinfo", content=body, headers=FORM)
    checked_userinfo(response, flow)


async def test_oidcc_scope_profile(service: Service) -> None:
    """A warning: of the 14 claims of `profile` people have only a name here."""
    async with signed_in(service) as browser:
        await name_yourself(browser)
        flow = await sign_in(browser, await client(service), scope="openid profile")
    assert (await flow.userinfo()).keys() == {"sub", "name"}


async def test_oidcc_scope_email(service: Service) -> None:
    async with signed_in(service) as browser:
        await name_yourself(browser)
        flow = await sign_in(browser, await client(service), scope="openid email")
    info = await flow.userinfo()
    assert info.keys() == {"sub", "email", "email_verified"}
    assert info["email"] == "anna@example.com"


async def test_oidcc_scope_address(service: Service) -> None:
    """Skipped by the suite: `address` is not among the scopes. It is ignored."""
    assert "address" not in await _scopes(service)
    flow = await one_sign_in(service, scope="openid address")
    assert flow.tokens["scope"] == "openid"
    assert (await flow.userinfo()).keys() == {"sub"}


async def test_oidcc_scope_phone(service: Service) -> None:
    info = await (await one_sign_in(service, scope="openid phone")).userinfo()
    assert info.keys() == {"sub", "phone_number", "phone_number_verified"}


async def test_oidcc_scope_all(service: Service) -> None:
    """Skipped by the suite, which includes `address`. The other three give their claims."""
    async with signed_in(service) as browser:
        await name_yourself(browser)
        scopes = "openid email phone address profile"
        flow = await sign_in(browser, await client(service), scope=scopes)
    assert (await flow.userinfo()).keys() == {
        *("sub", "email", "email_verified", "phone_number", "phone_number_verified", "name")
    }


async def test_oidcc_claims_essential(service: Service) -> None:
    """A warning: the parameter `claims` is ignored, so `name` is not in userinfo."""
    claims = '{"userinfo": {"name": {"essential": true}}}'
    async with signed_in(service) as browser:
        await name_yourself(browser)
        flow = await sign_in(browser, await client(service), claims=claims)
    assert (await flow.userinfo()).keys() == {"sub"}
    assert "name" not in flow.claims


async def test_oidcc_codereuse(service: Service) -> None:
    flow = await one_sign_in(service)
    assert await _exchange_again(flow) == "invalid_grant"


async def test_oidcc_codereuse_30seconds(service: Service) -> None:
    """The access token of the first use is revoked."""
    flow = await one_sign_in(service)
    service.clock.move(seconds=30)
    assert await _exchange_again(flow) == "invalid_grant"
    response = await service.get("/oauth/userinfo", Authorization=flow.bearer)
    assert response.status_code == 401
    assert response.json()["error"] == "invalid_token"


async def test_oidcc_refresh_token(service: Service) -> None:
    """`offline_access` is asked for with `prompt=consent`, as Core, section 11, says."""
    first, second = await client(service), await client(service)
    scope = "openid offline_access"
    assert "offline_access" in await _scopes(service)
    async with signed_in(service) as browser:
        flow = await sign_in(browser, first, scope=scope, prompt="consent")
        other = await sign_in(
            browser, second, scope=scope, prompt="consent", nonce="a" * 39 + "-._~"
        )
    refresh_token = flow.tokens["refresh_token"]
    assert len(refresh_token) * 8 >= 128
    service.clock.move(seconds=1)
    tokens = checked_tokens(await first.refresh(refresh_token, scope=scope))
    assert tokens["access_token"] != flow.tokens["access_token"]
    claims = await verified(first, tokens, nonce=None)
    for name in ("iss", "sub", "aud", "auth_time"):
        assert claims[name] == flow.claims[name]
    assert claims["iat"] > flow.claims["iat"]
    refreshed = Flow(first, None, "", tokens, claims)
    await refreshed.userinfo()
    stolen = await first.refresh(other.tokens["refresh_token"], scope=scope)
    assert checked_token_error(stolen) == "invalid_grant"
    # Nothing has changed for the client that it belongs to
    checked_tokens(await second.refresh(other.tokens["refresh_token"]))


async def test_oidcc_ensure_request_with_valid_pkce_succeeds(service: Service) -> None:
    pkce = {"code_challenge": challenge_of(VERIFIER), "code_challenge_method": "S256"}
    async with browsing(service) as browser:
        asked = request(await client(service), **pkce)
        await asked.finish(await arrive(browser, asked.url), code_verifier=VERIFIER)


async def _exchange_again(flow: Flow) -> str:
    """Exchange a code again; return the error."""
    response = await flow.app.post(
        "/oauth/token",
        grant_type="authorization_code",
        code=flow.code,
        redirect_uri=flow.app.redirect_uri,
    )
    return checked_token_error(response)


async def _scopes(service: Service) -> list[str]:
    metadata = ok(await service.get("/.well-known/openid-configuration"))
    scopes: list[str] = metadata["scopes_supported"]
    return scopes
