"""Caching: no response of any operation is stored, except the public keys."""

from __future__ import annotations

import re
from typing import Any

import httpx

from rewards import open_shop
from support import Person, Service, new_phone, ok

CACHEABLE = dict.fromkeys(
    ("getKeys", "getProvider", "getAuthorizationServer"), "max-age=300, public"
)
OWN_READS = (
    *("getProfile", "listInvitees", "getInviteSvg", "getInvitePng", "listSessions"),
    *("listOwnRewards", "getKeys", "isLive", "isReady"),
)
ADMINISTRATION = (
    *("listUsers", "getUser", "listUserInvitees", "getStats", "listAudit"),
    *("listRewardRules", "listRewards", "listUserRewards"),
    *("voidActivation", "deleteUser"),
)
JSON = {"Content-Type": "application/json"}


# Operation id, who calls it, parameters of the path, and the body
Call = tuple[str, Person, dict[str, str], dict[str, Any] | None]


def assert_not_stored(operation_id: str, response: httpx.Response) -> None:
    """Check Cache-Control: only the success of a cacheable operation may be stored."""
    expected = "no-store" if response.is_error else CACHEABLE.get(operation_id, "no-store")
    found = response.headers.get("cache-control")
    assert found == expected, (operation_id, response.status_code)


async def operations_of(service: Service) -> dict[str, tuple[str, str, dict[str, Any]]]:
    """Return method, path and definition of every operation in the document, by id."""
    document = ok(await service.get("/docs/openapi.json"))
    return {
        operation["operationId"]: (method.upper(), path, operation)
        for path, item in document["paths"].items()
        for method, operation in item.items()
    }


async def test_successes_are_not_stored(service: Service) -> None:
    operations = await operations_of(service)
    inviter, person, moving, leaving = [await service.sign_in() for _ in range(4)]
    code = await inviter.invite_code()
    sent = await service.send_code(new_phone())
    moved = ok(await moving.call("POST", "/profile/phone/send-code", json={"phone": new_phone()}))
    [session] = ok(await moving.call("GET", "/sessions"))["items"]
    tokens = {"refresh_token": person.tokens["refresh_token"]}
    key, subject = await service.api_key(), {"user_id": person.id()}
    calls: list[Call] = [
        ("sendCode", person, {}, {"phone": new_phone()}),
        ("verify", person, {}, {"token": sent["token"], "code": sent["code"]}),
        ("refresh", person, {}, tokens),
        ("activateInvite", person, {}, {"invite_code": code}),
        ("getInvitation", person, {"invite_code": code}, None),
        ("replaceProfile", person, {}, {"name": "Anna"}),
        ("patchProfile", person, {}, {"email": "anna@example.com"}),
        ("sendPhoneCode", person, {}, {"phone": new_phone()}),
        ("changePhone", moving, {}, {"token": moved["token"], "code": moved["code"]}),
        ("changeUser", key, subject, {"is_blocked": False}),
        ("endSession", moving, {"session_id": session["id"]}, None),
        ("endAllSessions", inviter, {}, None),
        ("deleteProfile", leaving, {}, None),
        *await calls_for_rewards(service, key),
        *[(name, person, {}, None) for name in OWN_READS],
        *[(name, key, subject, None) for name in ADMINISTRATION],
        ("logout", person, {}, tokens),
    ]
    for operation_id, by, parameters, body in calls:
        method, path, _ = operations[operation_id]
        response = await service.http.request(
            method,
            path.format_map(parameters),
            json=body,
            headers={"Authorization": f"Bearer {by.tokens['access_token']}"},
        )
        assert response.is_success, (operation_id, response.text)
        assert_not_stored(operation_id, response)
    # tests/openid/ calls those for apps, tests/messaging/ those for providers
    missing = {
        operation_id
        for operation_id, (_, _, operation) in operations.items()
        if not {"OpenID Connect", "Delivery reports"} & set(operation["tags"])
    } - {operation_id for operation_id, *_ in calls}
    assert not missing, f"add to the calls here: {missing}"


async def calls_for_rewards(service: Service, key: Person) -> list[Call]:
    """Return calls of the operations that change rewards, each of which succeeds."""
    async with open_shop(service) as shop:
        await shop.rule(review="all")
        inviter, invitee = await shop.invite()
        entries = [(await shop.event(f"e-{n}", invitee))[0]["id"] for n in range(3)]
        ok(await shop.call("POST", f"/rewards/{entries[2]}/approve"))
    user, tag = {"user_id": inviter.id()}, shop.tag
    unit = f"points{tag}"
    rule = {"trigger": "stays", "beneficiary": "inviter", "amount": 1, "unit": unit}
    event = {"event_id": f"e-4{tag}", "type": "stays", "user_id": invitee.id()}
    redemption = {"redemption_id": f"r{tag}", "unit": unit, "amount": 1}
    return [
        ("putRewardRule", key, {"name": f"stays{tag}"}, rule),
        ("deleteRewardRule", key, {"name": f"stays{tag}"}, None),
        ("postEvent", key, {}, event),
        ("reverseEvent", key, {"event_id": f"e-4{tag}"}, {"reason": "refund"}),
        ("approveReward", key, {"entry_id": entries[0]}, None),
        ("rejectReward", key, {"entry_id": entries[1]}, None),
        ("redeem", key, user, redemption),
        ("reverseRedemption", key, {"redemption_id": f"r{tag}"}, None),
    ]


async def test_errors_are_not_stored(service: Service) -> None:
    """Refusals by a guard, of the body, the method, the path, a parameter and the Host."""
    for operation_id, (method, path, operation) in (await operations_of(service)).items():
        url = re.sub(r"\{.*?\}", "AAAAAA", path)
        responses = [
            await service.http.request("TRACE", url),
            await service.http.request(method, f"{url}/nowhere"),
            await service.http.request(method, url, headers={"Authorization": "Bearer x"}),
            await service.http.request(method, f"{url}?limit=x", headers={"Host": "1:1:1"}),
        ]
        if "requestBody" in operation:
            responses.append(await service.http.request(method, url, content=b"{", headers=JSON))
            responses.append(await service.http.request(method, url, content=b"x" * 70_000))
        assert sum(response.is_error for response in responses) >= 3, operation_id
        for response in responses:
            assert_not_stored(operation_id, response)
