"""Checks that the modules of the OpenID Foundation's conformance suite share.

Its test plans are at gitlab.com/openid/conformance-suite, in
src/main/java/net/openid/conformance/openid/. Its warnings are failures here, except where
docs/openid-connect.md names one.
"""

from __future__ import annotations

import re
from base64 import urlsafe_b64encode
from dataclasses import dataclass
from hashlib import sha256
from typing import Any
from uuid import uuid4

import httpx
import jwt

from pages import ORIGIN, Browser
from relying_party import App, arrive, parameters_of, register
from support import Service, ok

ISSUER = ORIGIN
CALLBACK = "https://suite.example/test/a/referral/callback"
AFTER_LOGOUT = "https://suite.example/test/a/referral/post_logout_redirect"

# The suite's clock skew, in seconds
_SKEW = 300
_ID_TOKEN_CLAIMS = {
    *("iss", "sub", "aud", "exp", "iat", "auth_time", "nonce", "acr", "amr", "azp"),
    *("at_hash", "c_hash", "nbf", "jti", "sid"),
}
_ERROR_PARAMETERS = {"error", "error_description", "error_uri", "state", "iss"}
# RFC 6749, appendix A.8, without CR, LF and tab
_DESCRIPTION = re.compile(r"[\x20-\x21\x23-\x5b\x5d-\x7e]+")
_STRINGS = ("sub", "name", "email", "phone_number")
_BOOLEANS = ("email_verified", "phone_number_verified")


async def client(service: Service, **more: Any) -> App:
    """Register a client as the suite has them: confidential, and without PKCE."""
    given = {
        "redirect_uris": [CALLBACK],
        "post_logout_redirect_uris": [AFTER_LOGOUT],
        "without_pkce": True,
        **more,
    }
    return await register(service, **given)


@dataclass(frozen=True)
class Flow:
    """One sign-in: the request, the response to the app, the tokens and the ID token's claims."""

    app: App
    nonce: str | None
    code: str
    tokens: dict[str, Any]
    claims: dict[str, Any]

    @property
    def id_token(self) -> str:
        text: str = self.tokens["id_token"]
        return text

    async def userinfo(self) -> dict[str, Any]:
        """Return the claims of the userinfo endpoint, by GET."""
        return checked_userinfo(
            await self.app.service.get("/oauth/userinfo", Authorization=self.bearer), self
        )

    @property
    def bearer(self) -> str:
        return f"Bearer {self.tokens['access_token']}"


@dataclass(frozen=True)
class AuthorizationRequest:
    """An authorization request, with a state and a nonce of its own."""

    app: App
    url: str
    state: str
    nonce: str | None

    async def finish(self, url: str, **exchange: str) -> Flow:
        """Check the response in the app's URL, exchange its code, and check the tokens."""
        code = self.code_of(url)
        response = await self.app.post(
            "/oauth/token",
            grant_type="authorization_code",
            code=code,
            redirect_uri=self.app.redirect_uri,
            **exchange,
        )
        tokens = checked_tokens(response)
        claims = await verified(self.app, tokens, nonce=self.nonce)
        return Flow(self.app, self.nonce, code, tokens, claims)

    def code_of(self, url: str) -> str:
        """Check the successful response in a URL, and return its code."""
        assert url.startswith(f"{self.app.redirect_uri}?"), url
        given = parameters_of(url)
        assert given.keys() == {"code", "state", "iss"}
        assert (given["state"], given["iss"]) == (self.state, ISSUER)
        assert len(given["code"]) * 8 >= 128
        return given["code"]

    def error_of(self, url: str) -> str:
        """Check the error response in a URL, and return the error."""
        assert url.startswith(f"{self.app.redirect_uri}?"), url
        given = parameters_of(url)
        assert given.keys() <= _ERROR_PARAMETERS
        assert (given["state"], given["iss"]) == (self.state, ISSUER)
        assert _DESCRIPTION.fullmatch(given["error_description"])
        return given["error"]


def request(app: App, **parameters: str | None) -> AuthorizationRequest:
    """Prepare an authorization request. None leaves a parameter out."""
    state, nonce = uuid4().hex * 4, uuid4().hex[:10]
    given = {
        "state": state,
        "nonce": nonce,
        "code_challenge": None,
        "code_challenge_method": None,
        **parameters,
    }
    return AuthorizationRequest(app, app.url(**given), state, given["nonce"])


async def sign_in(browser: Browser, app: App, **parameters: str | None) -> Flow:
    """Sign in for the app, with every check that the suite makes each time."""
    asked = request(app, **parameters)
    return await asked.finish(await arrive(browser, asked.url))


async def sent_back_at_once(browser: Browser, asked: AuthorizationRequest) -> str:
    """Return the URL to which the authorization endpoint itself redirects: no page is shown."""
    return redirect_of(await browser.get(asked.url))


async def asked_to_sign_in(browser: Browser, asked: AuthorizationRequest) -> str:
    """Return the app's URL, after the page that asks for the phone was shown."""
    location = redirect_of(await browser.get(asked.url))
    assert 'id="phone"' in await browser.see(location)
    return await arrive(browser, location)


def redirect_of(response: httpx.Response) -> str:
    assert response.status_code == 303, response.text
    location: str = response.headers["location"]
    return location


def error_page(response: httpx.Response) -> str:
    """Return a page that says what is wrong, from which nothing leads back to the app."""
    assert response.status_code == 400
    assert not {"location", "refresh"} & response.headers.keys()
    assert not re.search(r'(href|action)="[^"]*suite', response.text)
    assert 'role="alert"' in response.text
    return response.text


def checked_tokens(response: httpx.Response) -> dict[str, Any]:
    """Return a successful response of the token endpoint (RFC 6749, section 5.1)."""
    tokens = ok(response)
    assert response.headers["content-type"] == "application/json"
    assert "no-store" in response.headers["cache-control"]
    assert tokens["token_type"] == "Bearer"
    assert type(tokens["expires_in"]) is int
    assert tokens["expires_in"] > 0
    assert re.fullmatch(r"[\x20-\x7e]+", tokens["access_token"])
    return tokens


def checked_token_error(response: httpx.Response) -> str:
    """Return the error of the token endpoint (RFC 6749, section 5.2)."""
    assert response.status_code == 400
    assert response.headers["content-type"] == "application/json"
    body = response.json()
    assert body.keys() <= {"error", "error_description", "error_uri"}
    assert _DESCRIPTION.fullmatch(body["error_description"])
    error: str = body["error"]
    return error


async def verified(app: App, tokens: dict[str, Any], *, nonce: str | None) -> dict[str, Any]:
    """Return the claims of an ID token, verified with PyJWT and the published keys."""
    text, header = tokens["id_token"], jwt.get_unverified_header(tokens["id_token"])
    assert header["alg"] == "RS256"
    keys = jwt.PyJWKSet.from_dict(ok(await app.service.get("/.well-known/jwks.json")))
    claims: dict[str, Any] = jwt.decode(
        text,
        keys[header["kid"]],
        algorithms=["RS256"],
        audience=app.client_id,
        issuer=ISSUER,
        leeway=_SKEW,
        options={"require": ["iss", "sub", "aud", "exp", "iat", "auth_time"]},
    )
    assert claims.get("nonce") == nonce
    assert 0 < len(claims["sub"]) <= 255
    assert claims["sub"].isascii()
    assert abs(claims["iat"] - app.service.clock().timestamp()) < _SKEW
    assert claims["auth_time"] <= claims["iat"]
    digest = sha256(tokens["access_token"].encode()).digest()[:16]
    assert claims["at_hash"] == urlsafe_b64encode(digest).decode().rstrip("=")
    _check_standard_claims(claims)
    if tokens["scope"] == "openid":
        assert claims.keys() <= _ID_TOKEN_CLAIMS
    return claims


def checked_userinfo(response: httpx.Response, flow: Flow) -> dict[str, Any]:
    """Return a successful response of the userinfo endpoint, about the person of the ID token."""
    info = ok(response)
    assert response.headers["content-type"] == "application/json"
    assert info["sub"] == flow.claims["sub"]
    _check_standard_claims(info)
    return info


def _check_standard_claims(claims: dict[str, Any]) -> None:
    """Check the types of claims: strings with content, booleans (Core, section 5.1)."""
    for name in claims.keys() & _STRINGS:
        assert isinstance(claims[name], str), name
        assert claims[name].strip(), name
    for name in claims.keys() & _BOOLEANS:
        assert isinstance(claims[name], bool), name
