"""Signing in."""

from __future__ import annotations

import asyncio

from support import Service, new_phone, ok, refused


async def test_first_sign_in_makes_the_account(service: Service) -> None:
    """201, a Location and a profile with a new invite code; the second sign-in answers 200."""
    sent = await service.send_code("+7 (999) 123-45-67")
    assert sent["phone"] == "+79991234567"
    assert (sent["code_length"], sent["expires_in"], sent["resend_in"]) == (4, 120, 3)
    first = await service.verify(sent)
    assert (first.status_code, first.headers["location"]) == (201, "/api/v1/profile")
    second = await service.verify(await service.send_code("+79991234567"))
    assert second.status_code == 200
    assert second.json()["profile"] == first.json()["profile"]


async def test_a_challenge_works_once(service: Service) -> None:
    sent = await service.send_code(new_phone())
    ok(await service.verify(sent))
    refused(await service.verify(sent), 400, "challenge_spent")


async def test_three_guesses_and_no_more(service: Service) -> None:
    """The fourth is refused even with the right code, and says when a new code can be had."""
    sent = await service.send_code(new_phone())
    wrong = f"{(int(sent['code']) + 1) % 10_000:04}"
    for left in (2, 1, 0):
        body = refused(await service.verify({**sent, "code": wrong}), 400, "wrong_code")
        assert body["attempts_left"] == left
    response = await service.verify(sent)
    refused(response, 429, "too_many_attempts")
    assert response.headers["retry-after"] == "3"


async def test_parallel_right_answers_sign_in_once(service: Service) -> None:
    sent = await service.send_code(new_phone())
    responses = await asyncio.gather(*(service.verify(sent) for _ in range(20)))
    assert min(response.status_code for response in responses) == 201
    assert sum(response.is_success for response in responses) == 1


async def test_parallel_sign_ups_of_a_phone_make_one_user(service: Service) -> None:
    phone = new_phone()
    sent = [await service.send_code(phone) for _ in range(10)]
    responses = await asyncio.gather(*(service.verify(each) for each in sent))
    assert sorted(response.status_code for response in responses) == [200] * 9 + [201]
    assert len({response.json()["profile"]["invite_code"] for response in responses}) == 1


async def test_a_code_expires(service: Service) -> None:
    sent = await service.send_code(new_phone())
    service.clock.move(seconds=121)
    refused(await service.verify(sent), 400, "challenge_expired")
