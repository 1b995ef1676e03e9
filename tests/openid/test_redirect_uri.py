"""Which redirect URIs may be registered, and which registered one a request names."""

from __future__ import annotations

import pytest

from referral.core.errors import InvalidRequest
from referral.openid import redirect_uri


@pytest.mark.parametrize(
    "uri",
    [
        "https://app.example/callback",
        "https://app.example",
        "https://app.example:8443/a/b?c=d&e=%20",
        "https://192.0.2.1/callback",
        "http://localhost/callback",
        "http://localhost:3000/callback",
        "http://127.0.0.1/callback",
        "http://[::1]:8080/",
        "com.example.app:/callback",
        "com.example.app://callback",
        "com.example.my-app:/callback?x=1",
    ],
)
def test_these_may_be_registered(uri: str) -> None:
    assert redirect_uri.parse(uri) == uri


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "app.example/callback",
        "/callback",
        "//app.example/callback",
        "http://app.example/callback",
        "http://127.0.0.2/callback",
        "http://localhost.app.example/callback",
        "https://app.example/callback#part",
        "https://user@app.example/callback",
        "https://user:word@app.example/callback",
        "https://app.example\\@evil.example/",
        "https://app.example/../callback",
        "https://app.example/a/./b",
        "https://app.example/%2E%2e/callback",
        "https://App.example/callback",
        "HTTPS://app.example/callback",
        "https:/app.example/callback",
        "https:app.example",
        "https:///callback",
        "https://app.example:0/",
        "https://app.example:99999/",
        "https://app.example:08443/",
        "https://app example/",
        "https://app.example/a b",
        "https://app.example/é",
        "https://app.example/%zz",
        "https://-app.example/",
        "javascript:alert(1)",
        "data:text/html,x",
        "app:/callback",
        "com.example.app:callback",
        "COM.example.app:/callback",
        "com..example:/callback",
        f"https://app.example/{'x' * 1000}",
    ],
)
def test_these_may_not_be_registered(uri: str) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        redirect_uri.parse(uri, "redirect_uri")
    [error] = refusal.value.members["errors"]
    assert error["field"] == "redirect_uri"
    assert error["message"].endswith((".", ")."))


@pytest.mark.parametrize(
    ("registered", "given", "matches"),
    [
        ("https://app.example/cb", "https://app.example/cb", True),
        ("https://app.example/cb", "https://app.example/cb/", False),
        ("https://app.example/cb", "https://app.example/CB", False),
        ("https://app.example/cb", "https://app.example:443/cb", False),
        ("https://app.example/cb", "https://app.example/cb?x=1", False),
        ("https://app.example/cb", "https://app.example/a/../cb", False),
        ("https://app.example/cb", "https://app.example./cb", False),
        ("http://127.0.0.1/cb", "http://127.0.0.1:49152/cb", True),
        ("http://127.0.0.1:3000/cb", "http://127.0.0.1:49152/cb", True),
        ("http://127.0.0.1/cb", "http://127.0.0.1:49152/other", False),
        ("http://127.0.0.1/cb", "http://127.0.0.1:0/cb", False),
        ("http://127.0.0.1/cb", "http://127.0.0.1:99999/cb", False),
        ("http://127.0.0.1/cb", "http://127.0.0.1@evil.example/cb", False),
        ("http://127.0.0.1/cb", "http://127.0.0.1.evil.example/cb", False),
        ("http://127.0.0.1/cb", "http://[::1]:3000/cb", False),
        ("http://[::1]/cb", "http://[::1]:49152/cb", True),
        ("http://localhost/cb", "http://localhost:3000/cb", False),
        ("com.example.app:/cb", "com.example.app:/cb", True),
        ("com.example.app:/cb", "com.example.app://cb", False),
    ],
)
def test_only_the_port_of_loopback_is_free(registered: str, given: str, *, matches: bool) -> None:
    """RFC 8252, section 7.3."""
    assert redirect_uri.is_registered(given, [registered]) is matches


@pytest.mark.parametrize(
    ("uri", "origin"),
    [
        ("https://app.example/cb", "https://app.example"),
        ("https://app.example:443/cb", "https://app.example"),
        ("https://app.example:8443/cb", "https://app.example:8443"),
        ("http://localhost:80/cb", "http://localhost"),
        ("http://[::1]:3000/cb", "http://[::1]:3000"),
        ("com.example.app:/cb", None),
    ],
)
def test_origin_is_as_browsers_write_it(uri: str, origin: str | None) -> None:
    assert redirect_uri.origin(uri) == origin


@pytest.mark.parametrize(
    ("uri", "url"),
    [
        ("https://app.example/cb", "https://app.example/cb?code=x"),
        ("https://app.example/cb?a=b", "https://app.example/cb?a=b&code=x"),
        ("https://app.example/cb?", "https://app.example/cb?code=x"),
        ("com.example.app:/cb", "com.example.app:/cb?code=x"),
    ],
)
def test_parameters_are_added_to_its_query(uri: str, url: str) -> None:
    assert redirect_uri.with_parameters(uri, "code=x") == url
