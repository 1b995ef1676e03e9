"""A simulated app that signs people in with OpenID Connect: its own calls and its browser's."""

from __future__ import annotations

import json
from base64 import b64encode, urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from hashlib import sha256
from html import unescape
from itertools import count
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx

from pages import Browser, found
from referral.openid import clients
from referral.openid.clients import Registration
from support import Service, context_of

CALLBACK = "https://shop.example/callback"
LOOPBACK = "http://127.0.0.1/callback"
VERIFIER = "a-verifier-of-the-tests-with-43-characters-or-more"

_FORM = r'<form method="post" action="({path}[^"]+)">'
_numbers = count(1)


@dataclass(frozen=True)
class App:
    """A registered client. secret: None for a public one."""

    service: Service
    client_id: str
    secret: str | None
    redirect_uri: str
    name: str = ""

    def url(self, **parameters: str | None) -> str:
        """Return the URL to which the app sends the browser. None leaves a parameter out."""
        usual: dict[str, str | None] = {
            "client_id": self.client_id,
            "redirect_uri": self.redirect_uri,
            "response_type": "code",
            "scope": "openid",
            "state": "a state",
            "nonce": "a nonce",
            "code_challenge": challenge_of(VERIFIER),
            "code_challenge_method": "S256",
        }
        given = {**usual, **parameters}
        query = urlencode({name: text for name, text in given.items() if text is not None})
        return f"/oauth/authorize?{query}"

    async def post(self, path: str, **form: str) -> httpx.Response:
        """Call an endpoint as this client, with HTTP Basic if it has a secret."""
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        if self.secret is None:
            form = {"client_id": self.client_id, **form}
        else:
            pair = f"{self.client_id}:{self.secret}".encode()
            headers["Authorization"] = f"Basic {b64encode(pair).decode()}"
        return await self.service.http.post(path, content=urlencode(form), headers=headers)

    async def exchange(self, code: str, **more: str) -> httpx.Response:
        return await self.post(
            "/oauth/token",
            **{
                "grant_type": "authorization_code",
                "code": code,
                "redirect_uri": self.redirect_uri,
                "code_verifier": VERIFIER,
                **more,
            },
        )

    async def refresh(self, refresh_token: str, **more: str) -> httpx.Response:
        return await self.post(
            "/oauth/token", grant_type="refresh_token", refresh_token=refresh_token, **more
        )

    async def delete(self) -> None:
        """Delete the client, as the team does."""
        await clients.delete(context_of(self.service), self.client_id)

    async def tokens(self, browser: Browser, **parameters: str | None) -> dict[str, Any]:
        """Sign in for this app in a browser, and return the response of the token endpoint."""
        response = await self.exchange(await self.code(browser, **parameters))
        assert response.status_code == 200, response.text
        tokens: dict[str, Any] = response.json()
        return tokens

    async def code(self, browser: Browser, **parameters: str | None) -> str:
        """Sign in for this app in a browser, and return the authorization code."""
        return (await self.callback(browser, **parameters))["code"]

    async def callback(self, browser: Browser, **parameters: str | None) -> dict[str, str]:
        """Sign in for this app in a browser; return the parameters with which it is sent back."""
        return parameters_of(await arrive(browser, self.url(**parameters)))


async def register(service: Service, **more: Any) -> App:
    """Register a client under a name of its own."""
    given = {"name": f"Shop {next(_numbers)}", "redirect_uris": [CALLBACK], **more}
    client, secret = await clients.create(context_of(service), Registration(**given))
    return App(service, client.id, secret, given["redirect_uris"][0], client.name)


async def arrive(browser: Browser, url: str) -> str:
    """Follow a link as a browser does, and sign in if asked. Return the app's URL it leads to."""
    for _ in range(10):
        response = await browser.get(url)
        page = unescape(response.text)
        if response.status_code == 303:
            url = response.headers["location"]
        elif "refresh" in response.headers:
            url = response.headers["refresh"].removeprefix("0; url=")
        elif 'id="simulated-code"' in page:
            url = await browser.enter_code(page)
        elif 'id="phone"' in page:
            fields = {"phone": browser.phone, **invitation_on(page)}
            url = await browser.submit(found(_FORM.format(path="/[?]"), page), **fields)
        else:
            user = found(r'name="user" value="([^"]+)"', page)
            url = await browser.submit(found(_FORM.format(path="/oauth/"), page), user=user)
        if not url.startswith("/"):
            return url
    raise AssertionError(f"too many redirects: {url}")


def invitation_on(page: str) -> dict[str, str]:
    """Return the hidden invite code of the sign-in page, if it has one."""
    name = 'name="invite_code" value="'
    return {"invite_code": page.partition(name)[2].partition('"')[0]} if name in page else {}


def parameters_of(url: str) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(url).query))


def claims_of(token: str) -> dict[str, Any]:
    """Return the claims of a JWT, unverified."""
    payload = token.split(".")[1]
    claims: dict[str, Any] = json.loads(urlsafe_b64decode(payload + "=="))
    return claims


def challenge_of(verifier: str) -> str:
    return urlsafe_b64encode(sha256(verifier.encode()).digest()).decode().rstrip("=")


async def open_sign_in(browser: Browser, url: str) -> str:
    """Follow an app's link to the page for the phone, and return that page."""
    response = await browser.get(url)
    assert response.status_code == 303, response.text
    page = await browser.see(response.headers["location"])
    assert 'id="phone"' in page
    return page


async def send_code(browser: Browser, page: str, phone: str | None = None) -> str:
    """Submit the page for the phone, and return the URL of the page for the code."""
    action = found(_FORM.format(path="/[?]"), page)
    fields = {"phone": phone or browser.phone, **invitation_on(page)}
    url = await browser.submit(action, **fields)
    assert url.startswith("/code?"), url
    return url


async def leaving_to(browser: Browser, url: str) -> str:
    """Return the URL to which a page of ours goes on, by its header and by its link."""
    response = await browser.get(url)
    assert response.status_code == 200, response.text
    target: str = response.headers["refresh"].removeprefix("0; url=")
    assert f'href="{target}"' in unescape(response.text)
    assert response.headers["cache-control"] == "no-store"
    return target
