"""The service as one of the two sides of reward_sides.py, over HTTP."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from reward_sides import START, Observed, Operation, Row, parts
from support import Person, Service, new_phone, ok


class ServiceSide:
    """The service over HTTP. suffix: of the names, so that several can share a database."""

    def __init__(
        self, service: Service, key: Person, people: dict[str, Person], suffix: str
    ) -> None:
        self._service = service
        self._key = key
        self._people = people
        self._codes: dict[str, str] = {}
        self._names = {person.id(): name for name, person in people.items()}
        self._suffix = suffix
        self._rules: set[str] = set()
        self._ids: dict[Row, str] = {}

    @classmethod
    async def start(
        cls, service: Service, people: Iterable[str], *, now: datetime = START, suffix: str = ""
    ) -> ServiceSide:
        service.clock.freeze(now)
        signed_in = {name: await service.sign_in(new_phone()) for name in people}
        return cls(service, await service.api_key(), signed_in, suffix)

    async def time(self) -> datetime:
        return self._service.clock()

    async def close(self) -> None:
        """Delete the rules, which would count what other tests do."""
        for name in self._rules:
            await self._call("DELETE", f"/reward-rules/{name}")

    async def do(self, operation: Operation) -> str | None:
        name, arguments, named = parts(operation)
        refusal: str | None = await getattr(self, f"_{name}")(*arguments, **named)
        return refusal

    async def observe(self) -> Observed:
        ledgers = {name: await self._ledger(name) for name in self._people}
        found = {each["id"]: each for ledger in ledgers.values() for each in ledger["items"]}
        self._ids = {self._row(each, found): each["id"] for each in found.values()}
        return Observed(
            sorted((self._row(each, found) for each in found.values()), key=str),
            {
                (name, each["unit"]): (each["available"], each["pending"])
                for name, ledger in ledgers.items()
                for each in ledger["balances"]
                if each["available"] or each["pending"]
            },
        )

    async def _ledger(self, person: str) -> dict[str, Any]:
        path = f"/users/{self._people[person].id()}/rewards"
        found = ok(await self._key.call("GET", path, params={"limit": 1000}))
        assert found["next_cursor"] is None
        return found

    def _row(self, entry: dict[str, Any], by_id: dict[str, dict[str, Any]]) -> Row:
        target = by_id.get(entry["reverses"])
        assert (target is None) == (entry["reverses"] is None)
        return Row(
            user=self._names[entry["user_id"]],
            rule=self._short(entry["rule"]),
            version=entry["version"],
            unit=entry["unit"],
            amount=entry["amount"],
            cause=self._cause(entry),
            status=entry["status"],
            about=self._names.get(entry["about_user_id"]),
            created_at=_time(entry["created_at"]),
            available_at=entry["available_at"] and _time(entry["available_at"]),
            reverses=(self._short(target["rule"]), self._cause(target)) if target else None,
        )

    def _cause(self, entry: dict[str, Any]) -> str:
        return str(entry["cause"]).removesuffix(self._suffix)

    def _short(self, name: str | None) -> str | None:
        return name and name.removesuffix(self._suffix)

    def _long(self, name: str) -> str:
        return name + self._suffix

    async def _call(self, method: str, path: str, **body: Any) -> str | None:
        response = await self._key.call(method, path, **({"json": body} if body else {}))
        assert response.status_code < 500, response.text
        return None if response.is_success else str(response.json()["code"])

    # Operations

    async def _wait(self, span: timedelta) -> None:
        self._service.clock.move(seconds=span.total_seconds())

    async def _put_rule(self, name: str, *, occurs: str = "every", **given: Any) -> str | None:
        self._rules.add(self._long(name))
        invitees = given.pop("invitees", None)
        body = {_FIELDS.get(key, key): _json(value) for key, value in given.items()}
        if body["trigger"] != "activated":
            body["trigger"] = self._long(body["trigger"])
        body["occurs"] = {occurs: invitees} if invitees else occurs
        return await self._call("PUT", f"/reward-rules/{self._long(name)}", **body)

    async def _delete_rule(self, name: str) -> str | None:
        return await self._call("DELETE", f"/reward-rules/{self._long(name)}")

    async def _activate(self, person: str, inviter: str) -> str | None:
        # Their session may be over by now
        again = await self._service.sign_in(self._people[person].phone)
        response = await again.activate(await self._code(inviter))
        return None if response.is_success else str(response.json()["code"])

    async def _code(self, person: str) -> str:
        if person not in self._codes:
            user = ok(await self._key.call("GET", self._user(person)))
            self._codes[person] = user["invite_code"]
        return self._codes[person]

    async def _void(self, person: str) -> str | None:
        return await self._call("DELETE", f"{self._user(person)}/inviter")

    async def _delete(self, person: str) -> str | None:
        return await self._call("DELETE", self._user(person))

    async def _block(self, person: str) -> str | None:
        return await self._call("PATCH", self._user(person), is_blocked=True)

    async def _unblock(self, person: str) -> str | None:
        return await self._call("PATCH", self._user(person), is_blocked=False)

    async def _post_event(self, event_id: str, type_: str, person: str, **more: Any) -> str | None:
        body = {"event_id": self._long(event_id), "type": self._long(type_)}
        body |= {"user_id": self._people[person].id()}
        return await self._call("POST", "/events", **body, **_json_values(more))

    async def _reverse_event(self, event_id: str, reason: str) -> str | None:
        return await self._call("POST", f"/events/{self._long(event_id)}/reverse", reason=reason)

    async def _redeem(self, redemption_id: str, person: str, unit: str, amount: int) -> str | None:
        body = {"redemption_id": self._long(redemption_id), "unit": unit, "amount": amount}
        return await self._call("POST", f"{self._user(person)}/redemptions", **body)

    async def _reverse_redemption(self, redemption_id: str) -> str | None:
        return await self._call("POST", f"/redemptions/{self._long(redemption_id)}/reverse")

    async def _decide(self, decision: str, row: Row) -> str | None:
        await self.observe()
        verb = {"approved": "approve", "rejected": "reject"}[decision]
        return await self._call("POST", f"/rewards/{self._ids[row]}/{verb}")

    def _user(self, person: str) -> str:
        return f"/users/{self._people[person].id()}"


_FIELDS = {"starts_at": "from", "ends_at": "until"}


def _json(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value


def _json_values(given: dict[str, Any]) -> dict[str, Any]:
    return {key: _json(value) for key, value in given.items()}


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)
