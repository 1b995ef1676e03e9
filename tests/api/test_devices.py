"""Known devices: events that revoke device tokens, and events that do not."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from accounts import moved
from devices import is_known
from support import Person, Service, ok, refused


async def session_id(person: Person) -> str:
    items = ok(await person.call("GET", "/sessions"))["items"]
    found: str = next(item["id"] for item in items if item["current"])
    return found


async def sign_out_everywhere(_service: Service, person: Person) -> None:
    ok(await person.call("DELETE", "/sessions"))


async def end_another_session(service: Service, person: Person) -> None:
    other = await service.sign_in_again(person)
    ok(await other.call("DELETE", f"/sessions/{await session_id(person)}"))


async def use_a_refresh_token_twice(_service: Service, person: Person) -> None:
    first = ok(await person.refresh())
    ok(await person.refresh(first["refresh_token"]))
    refused(await person.refresh(), 401, "invalid_refresh_token")


async def delete_the_account(_service: Service, person: Person) -> None:
    ok(await person.call("DELETE", "/profile"))


async def give_the_number_to_somebody_else(service: Service, person: Person) -> None:
    await delete_the_account(service, person)
    assert (await service.sign_in_again(person)).is_new


async def move_to_another_phone(service: Service, person: Person) -> None:
    await moved(service, person)


async def move_to_another_phone_and_back(service: Service, person: Person) -> None:
    await moved(service, await moved(service, person), person.phone)


async def block(service: Service, person: Person) -> None:
    key = await service.api_key()
    ok(await key.call("PATCH", f"/users/{person.id()}", json={"is_blocked": True}))


async def block_and_unblock(service: Service, person: Person) -> None:
    await block(service, person)
    key = await service.api_key()
    ok(await key.call("PATCH", f"/users/{person.id()}", json={"is_blocked": False}))


async def sign_out(service: Service, person: Person) -> None:
    ok(await service.post("/auth/logout", refresh_token=person.tokens["refresh_token"]))


async def sign_out_with_a_replaced_token(service: Service, person: Person) -> None:
    ok(await person.refresh())
    await sign_out(service, person)


async def end_this_session(_service: Service, person: Person) -> None:
    ok(await person.call("DELETE", f"/sessions/{await session_id(person)}"))


async def end_a_session_that_is_not_there(service: Service, person: Person) -> None:
    stranger = await service.sign_in()
    for path in ("x", await session_id(stranger)):
        refused(await person.call("DELETE", f"/sessions/{path}"), 404, "not_found")


async def sign_in_once_more(service: Service, person: Person) -> None:
    await service.sign_in_again(person)


Event = Callable[[Service, Person], Awaitable[None]]

REVOKING: list[Event] = [
    sign_out_everywhere,
    end_another_session,
    use_a_refresh_token_twice,
    delete_the_account,
    give_the_number_to_somebody_else,
    move_to_another_phone,
    move_to_another_phone_and_back,
    block,
    block_and_unblock,
]
KEEPING: list[Event] = [
    sign_out,
    sign_out_with_a_replaced_token,
    end_this_session,
    end_a_session_that_is_not_there,
    sign_in_once_more,
]


@pytest.mark.parametrize("event", REVOKING)
async def test_events_that_revoke_device_tokens(service: Service, event: Event) -> None:
    """Another user's tokens stay valid."""
    person, bystander = await service.sign_in(), await service.sign_in()
    device = person.tokens["device_token"]
    assert await is_known(service, person.phone, device)
    await event(service, person)
    assert not await is_known(service, person.phone, device)
    assert await is_known(service, bystander.phone, bystander.tokens["device_token"])


@pytest.mark.parametrize("event", KEEPING)
async def test_events_that_keep_device_tokens(service: Service, event: Event) -> None:
    person = await service.sign_in()
    await event(service, person)
    assert await is_known(service, person.phone, person.tokens["device_token"])


async def test_the_next_sign_in_issues_a_valid_token(service: Service) -> None:
    person = await service.sign_in()
    await sign_out_everywhere(service, person)
    again = await service.sign_in_again(person)
    assert await is_known(service, person.phone, again.tokens["device_token"])
    assert not await is_known(service, person.phone, person.tokens["device_token"])
