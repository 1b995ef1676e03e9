"""The operations of rewards, as an app's backend and administrators use them."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from secrets import token_hex
from typing import Any

import httpx

from support import Person, Service, ok

# Of all fields whose values the tests choose
_TAGGED = ("type", "trigger", "unit", "event_id", "redemption_id")


@dataclass
class Shop:
    """The backend of an app, with an API key.

    Names, ids and units have a tag in the requests, because tests share a database. Responses are
    returned without it.
    """

    service: Service
    key: Person
    tag: str = field(default_factory=lambda: f"-{token_hex(3)}")
    rules: set[str] = field(default_factory=set)

    async def call(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        """Call an operation. `*` in the path stands for the tag."""
        for part in ("json", "params"):
            if part in arguments:
                arguments[part] = self._tagged(arguments[part])
        response = await self.key.call(method, path.replace("*", self.tag), **arguments)
        response._content = response.content.replace(self.tag.encode(), b"")  # noqa: SLF001
        return response

    async def put_rule(self, name: str = "purchase", **fields: Any) -> httpx.Response:
        """Make or change a rule: by default, 100 points for the inviter of each purchase."""
        self.rules.add(name)
        body = {
            "trigger": "purchase",
            "beneficiary": "inviter",
            "amount": 100,
            "unit": "points",
            **fields,
        }
        return await self.call("PUT", f"/reward-rules/{name}*", json=body)

    async def rule(self, name: str = "purchase", **fields: Any) -> dict[str, Any]:
        response = await self.put_rule(name, **fields)
        assert response.status_code in {200, 201}, response.text
        rule: dict[str, Any] = response.json()
        return rule

    async def delete_rule(self, name: str = "purchase") -> None:
        assert (await self.call("DELETE", f"/reward-rules/{name}*")).status_code == 204
        self.rules.discard(name)

    async def event(self, event_id: str, person: Person, **fields: Any) -> list[dict[str, Any]]:
        """Post a new event and return the entries that it makes."""
        response = await self.post_event(event_id, person, **fields)
        assert response.status_code == 201, response.text
        entries: list[dict[str, Any]] = response.json()["rewards"]
        return entries

    async def post_event(
        self, event_id: str, person: Person | None = None, **fields: Any
    ) -> httpx.Response:
        body = {"event_id": event_id, "type": "purchase", **fields}
        if person is not None:
            body["user_id"] = person.id()
        return await self.call("POST", "/events", json=body)

    async def reverse(self, event_id: str, reason: str = "refund") -> list[dict[str, Any]]:
        response = await self.call("POST", f"/events/{event_id}*/reverse", json={"reason": reason})
        entries: list[dict[str, Any]] = ok(response)["rewards"]
        return entries

    async def redeem(self, redemption_id: str, person: Person, **fields: Any) -> httpx.Response:
        body = {"redemption_id": redemption_id, "unit": "points", "amount": 100, **fields}
        return await self.call("POST", f"/users/{person.id()}/redemptions", json=body)

    async def void(self, person: Person) -> None:
        response = await self.call("DELETE", f"/users/{person.id()}/inviter")
        assert response.status_code == 204, response.text

    async def rewards(self, person: Person) -> dict[str, Any]:
        found: dict[str, Any] = ok(await self.call("GET", f"/users/{person.id()}/rewards"))
        return found

    async def entries(self, person: Person) -> list[dict[str, Any]]:
        """Return a user's entries, newest first."""
        items: list[dict[str, Any]] = (await self.rewards(person))["items"]
        return items

    async def statuses(self, person: Person) -> list[tuple[int, str]]:
        """Return the amounts and statuses of a user's entries, oldest first."""
        return [(each["amount"], each["status"]) for each in (await self.entries(person))[::-1]]

    async def balance(self, person: Person, unit: str = "points") -> tuple[int, int]:
        """Return what a user has available and pending in a unit."""
        balances = (await self.rewards(person))["balances"]
        return next(((b["available"], b["pending"]) for b in balances if b["unit"] == unit), (0, 0))

    async def invite(self, inviter: Person | None = None) -> tuple[Person, Person]:
        """Sign an inviter and an invitee up."""
        inviter = inviter or await self.service.sign_in()
        return inviter, await self.service.sign_in(invite_code=await inviter.invite_code())

    def _tagged(self, given: Any) -> Any:
        body = json.loads(json.dumps(given))
        for name in _TAGGED:
            if isinstance(body.get(name), str) and body[name] != "activated":
                body[name] += self.tag
        return body


@asynccontextmanager
async def open_shop(service: Service) -> AsyncIterator[Shop]:
    """Open a shop, and delete its rules at the end."""
    shop = Shop(service, await service.api_key())
    yield shop
    for name in list(shop.rules):
        await shop.call("DELETE", f"/reward-rules/{name}*")
