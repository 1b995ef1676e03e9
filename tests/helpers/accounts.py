"""Helpers for accounts: tokens, another phone, deletion, invitation, administration."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Any

import httpx

from support import Person, Service, new_phone, ok, refused


def decoded(refresh_token: str) -> bytes:
    return urlsafe_b64decode(refresh_token + "==")


def encoded(raw_token: bytes) -> str:
    return urlsafe_b64encode(raw_token).rstrip(b"=").decode()


def claims(person: Person) -> dict[str, Any]:
    """Return the claims of the access token, unverified."""
    part = person.tokens["access_token"].split(".")[1]
    parsed: dict[str, Any] = json.loads(urlsafe_b64decode(part + "=="))
    return parsed


async def rotated(person: Person) -> Person:
    """Refresh; return the same session with its next tokens."""
    return Person(person.http, person.phone, ok(await person.refresh()), is_new=False)


async def assert_ended(person: Person) -> None:
    """Check that neither token of the session works."""
    refused(await person.call("GET", "/profile"), 401, "unauthorized")
    refused(await person.refresh(), 401, "invalid_refresh_token")


async def phone_code(person: Person, phone: str) -> dict[str, Any]:
    return ok(await person.call("POST", "/profile/phone/send-code", json={"phone": phone}))


async def confirm(person: Person, sent: dict[str, Any]) -> httpx.Response:
    body = {"token": sent["token"], "code": sent["code"]}
    return await person.call("PUT", "/profile/phone", json=body)


async def change_phone(person: Person, phone: str) -> dict[str, Any]:
    """Move a person to another phone; return the profile."""
    return ok(await confirm(person, await phone_code(person, phone)))


async def moved(service: Service, person: Person, phone: str | None = None) -> Person:
    """Move a person to another phone, after the wait between two codes; return them with it."""
    service.clock.move(seconds=3)
    profile = await change_phone(person, phone or new_phone())
    return Person(person.http, profile["phone"], person.tokens, is_new=False)


async def delete_account(person: Person) -> None:
    response = await person.call("DELETE", "/profile")
    assert (response.status_code, response.content) == (204, b"")


async def invited(service: Service, inviter: Person) -> Person:
    return await service.sign_in(invite_code=await inviter.invite_code())


async def patch_user(admin: Person, person: Person, **fields: Any) -> httpx.Response:
    """Change a user as an administrator."""
    return await admin.call("PATCH", f"/users/{person.id()}", json=fields)


async def user_seen_by(admin: Person, person: Person) -> dict[str, Any]:
    """Return a user as an administrator sees it."""
    return ok(await admin.call("GET", f"/users/{person.id()}"))
