"""The OpenID Foundation's Config plan: the discovery document."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

import jwt

from support import Service, ok, running

ISSUER = "https://id.example"
DISCOVERY = "/.well-known/openid-configuration"

URIS = {"issuer", "jwks_uri"}
LISTS = {
    *("scopes_supported", "claims_supported", "response_types_supported"),
    *("response_modes_supported", "grant_types_supported", "subject_types_supported"),
    *("id_token_signing_alg_values_supported", "code_challenge_methods_supported"),
    *("token_endpoint_auth_methods_supported", "revocation_endpoint_auth_methods_supported"),
    *("prompt_values_supported", "ui_locales_supported"),
}
BOOLEANS = {
    *("claims_parameter_supported", "request_parameter_supported"),
    *("request_uri_parameter_supported", "authorization_response_iss_parameter_supported"),
}
# RFC 6749, section 3.3
SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")
# A language tag in its canonical form (RFC 5646, section 2.1.1)
LOCALE = re.compile(r"[a-z]{2,3}(-[A-Z][a-z]{3})?(-[A-Z]{2})?")


async def test_oidcc_discovery_endpoint_verification(database_url: str) -> None:
    async with running(database_url, REFERRAL_PUBLIC_URL=ISSUER) as service:
        response = await service.get(DISCOVERY)
        metadata = ok(response)
        assert response.headers["content-type"] == "application/json"
        assert metadata["issuer"] == ISSUER
        _check_endpoints(metadata)
        _check_values(metadata)
        await _check_keys(service, metadata)
        assert ok(await service.get("/.well-known/oauth-authorization-server")) == metadata


def _check_endpoints(metadata: dict[str, Any]) -> None:
    """Each is an https URL of the service, and no member has an unknown name or type."""
    endpoints = {name for name in metadata if name.endswith("_endpoint")}
    assert metadata.keys() == endpoints | URIS | LISTS | BOOLEANS
    assert endpoints == {
        *("authorization_endpoint", "token_endpoint", "userinfo_endpoint"),
        *("revocation_endpoint", "end_session_endpoint"),
    }
    for name in endpoints | URIS:
        parts = urlsplit(metadata[name])
        assert (parts.scheme, parts.netloc) == ("https", "id.example")
        assert not parts.query
        assert not parts.fragment
    for name in LISTS:
        assert metadata[name], name
        assert all(isinstance(each, str) for each in metadata[name]), name
    assert all(isinstance(metadata[name], bool) for name in BOOLEANS)


def _check_values(metadata: dict[str, Any]) -> None:
    assert "openid" in metadata["scopes_supported"]
    assert all(SCOPE.fullmatch(each) for each in metadata["scopes_supported"])
    assert metadata["response_types_supported"] == ["code"]
    assert metadata["grant_types_supported"] == ["authorization_code", "refresh_token"]
    assert metadata["subject_types_supported"] == ["public"]
    assert "RS256" in metadata["id_token_signing_alg_values_supported"]
    assert metadata["code_challenge_methods_supported"] == ["S256"]
    assert metadata["ui_locales_supported"]
    assert all(LOCALE.fullmatch(each) for each in metadata["ui_locales_supported"])
    methods = metadata["token_endpoint_auth_methods_supported"]
    assert {"client_secret_basic", "client_secret_post"} <= set(methods)
    assert not metadata["request_parameter_supported"]
    # It is true if it is missing (Discovery, section 3)
    assert not metadata["request_uri_parameter_supported"]


async def _check_keys(service: Service, metadata: dict[str, Any]) -> None:
    """The keys have different ids and no private or symmetric part; one signs with RS256."""
    keys = ok(await service.get(urlsplit(metadata["jwks_uri"]).path))["keys"]
    assert len(jwt.PyJWKSet.from_dict({"keys": keys}).keys) == len(keys)
    assert len({key["kid"] for key in keys}) == len(keys)
    assert not any(key.keys() & {"d", "p", "q", "dp", "dq", "qi", "oth", "k"} for key in keys)
    assert [key["use"] for key in keys if key.get("alg") == "RS256"] == ["sig"]
