"""The operations for apps respond as the OpenAPI document says, and are not stored."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import httpx
import jsonschema_rs

from pages import browsing
from relying_party import App, register
from support import Service, ok

DONE = "https://shop.example/done"
CACHEABLE = {"getProvider", "getAuthorizationServer"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


async def test_successes_are_as_documented(service: Service) -> None:
    document = ok(await service.get("/docs/openapi.json"))
    operations = {
        operation["operationId"]: operation
        for item in document["paths"].values()
        for operation in item.values()
        if "OpenID Connect" in operation["tags"]
    }
    app = await register(service, post_logout_redirect_uris=[DONE])
    found = await responses(service, app)
    assert found.keys() == operations.keys(), "call the others here"
    for operation_id, response in found.items():
        documented = operations[operation_id]["responses"][str(response.status_code)]
        cached = "max-age=300, public" if operation_id in CACHEABLE else "no-store"
        assert response.headers["cache-control"] == cached, operation_id
        content = documented.get("content", {}).get("application/json")
        if content is not None and "$ref" in content["schema"]:
            schema = {**content["schema"], "components": document["components"]}
            jsonschema_rs.Draft202012Validator(schema).validate(response.json())


async def test_parameters_are_documented(service: Service) -> None:
    """Those of the query by GET, and the same in a form by POST."""
    paths = ok(await service.get("/docs/openapi.json"))["paths"]
    for path in ("/oauth/authorize", "/oauth/logout"):
        in_query = [each["name"] for each in paths[path]["get"]["parameters"]]
        body = paths[path]["post"]["requestBody"]["content"][FORM["Content-Type"]]
        assert list(body["schema"]["properties"]) == in_query
    form = paths["/oauth/token"]["post"]["requestBody"]["content"][FORM["Content-Type"]]["schema"]
    assert form["required"] == ["grant_type"]
    assert {"code", "redirect_uri", "code_verifier", "refresh_token"} < form["properties"].keys()


async def responses(service: Service, app: App) -> dict[str, httpx.Response]:
    """Return a successful response of every operation, by its id."""
    http = service.http
    found = {
        "getProvider": await http.get("/.well-known/openid-configuration"),
        "getAuthorizationServer": await http.get("/.well-known/oauth-authorization-server"),
        "authorize": await http.get(app.url()),
        "authorizeByPost": await http.post(
            "/oauth/authorize", content=app.url().partition("?")[2], headers=FORM
        ),
    }
    async with browsing(service) as browser:
        code = await app.code(browser, scope="openid phone offline_access")
    found["getTokens"] = await app.exchange(code)
    tokens: dict[str, Any] = found["getTokens"].json()
    bearer = {"Authorization": f"Bearer {tokens['access_token']}"}
    found["getUserinfo"] = await http.get("/oauth/userinfo", headers=bearer)
    found["postUserinfo"] = await http.post(
        "/oauth/userinfo",
        content=urlencode({"access_token": tokens["access_token"]}),
        headers=FORM,
    )
    signing_out = urlencode(
        {"id_token_hint": tokens["id_token"], "post_logout_redirect_uri": DONE, "state": "x"}
    )
    found["revokeToken"] = await app.post("/oauth/revoke", token=tokens["refresh_token"])
    found["signOutForApp"] = await http.get(f"/oauth/logout?{signing_out}")
    found["signOutForAppByPost"] = await http.post(
        "/oauth/logout", content=signing_out, headers=FORM
    )
    assert found["signOutForApp"].headers["location"] == f"{DONE}?state=x"
    return found
