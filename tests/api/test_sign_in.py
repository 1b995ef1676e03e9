"""Sign-in: codes, challenges, invite codes, and what is stored."""

from __future__ import annotations

import asyncio
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode

from referral.core import challenge as challenges
from referral.core.keys import Keyring, Purpose
from referral.storage import database
from support import (
    SECRET,
    TODAY,
    Inbox,
    Service,
    new_phone,
    ok,
    refused,
    running,
    with_wrong_code,
    wrong_code,
)


def decoded(part: str) -> bytes:
    return urlsafe_b64decode(part + "==")


async def dumped() -> str:
    """Return every value of every table as text, bytes as hex and as base64url."""
    if database.is_postgres():
        names = "SELECT tablename AS name FROM pg_tables WHERE schemaname = 'public'"
    else:
        names = "SELECT name FROM sqlite_master WHERE type = 'table'"
    values: list[str] = []
    for table in await database.query(names):
        for row in await database.query(f'SELECT * FROM "{table["name"]}"'):  # noqa: S608 - names from the catalogue
            for value in row.values():
                if isinstance(value, bytes | memoryview):
                    values += [bytes(value).hex(), urlsafe_b64encode(value).decode()]
                else:
                    values.append(str(value))
    return "\n".join(values)


async def test_first_sign_in_creates_the_account(service: Service) -> None:
    """The first responds with 201, Location and a new invite code; the second with 200."""
    sent = await service.send_code("+7 (999) 123-45-67")
    assert sent["phone"] == "+79991234567"
    assert (sent["code_length"], sent["expires_in"], sent["resend_in"]) == (4, 120, 0)
    first = await service.verify(sent)
    assert (first.status_code, first.headers["location"]) == (201, "/api/v1/profile")
    service.clock.move(seconds=3)
    second = await service.verify(await service.send_code("+79991234567"))
    assert second.status_code == 200
    assert second.json()["profile"] == first.json()["profile"]


async def test_a_challenge_works_once(service: Service) -> None:
    sent = await service.send_code(new_phone())
    ok(await service.verify(sent))
    refused(await service.verify(sent), 400, "challenge_spent")


async def test_a_challenge_allows_three_guesses(service: Service) -> None:
    """The fourth is refused even with the right code, with the wait for a new code."""
    sent = await service.send_code(new_phone())
    wrong = with_wrong_code(sent)
    for left in (2, 1, 0):
        body = refused(await service.verify(wrong), 400, "wrong_code")
        assert body["attempts_left"] == left
    response = await service.verify(sent)
    refused(response, 429, "too_many_attempts")
    assert response.headers["retry-after"] == "1"


async def test_parallel_right_codes_sign_in_once(service: Service) -> None:
    sent = await service.send_code(new_phone())
    responses = await asyncio.gather(*(service.verify(sent) for _ in range(20)))
    assert min(response.status_code for response in responses) == 201
    assert sum(response.is_success for response in responses) == 1


async def test_parallel_sign_ups_of_a_phone_create_one_user(service: Service) -> None:
    phone = new_phone()
    sent = []
    for _ in range(10):
        sent.append(await service.send_code(phone))
        service.clock.move(seconds=3)
    responses = await asyncio.gather(*(service.verify(each) for each in sent))
    assert sorted(response.status_code for response in responses) == [200] * 9 + [201]
    assert len({response.json()["profile"]["invite_code"] for response in responses}) == 1


async def test_a_code_expires(service: Service) -> None:
    sent = await service.send_code(new_phone())
    service.clock.move(seconds=121)
    refused(await service.verify(sent), 400, "challenge_expired")


async def test_a_challenge_is_an_encrypted_token_of_fixed_length(service: Service) -> None:
    """Its length reveals nothing about the phone."""
    sent = [await service.send_code(phone) for phone in ("+79991234567", "+4915112345678")]
    assert len({len(each["token"]) for each in sent}) == 1
    for each in sent:
        parts = each["token"].split(".")
        header = json.loads(decoded(parts[0]))
        assert (header.pop("alg"), header.pop("enc")) == ("dir", "A256GCM")
        assert header.keys() == {"kid"}
        assert (len(parts), parts[1]) == (5, "")


async def test_send_code_does_not_reveal_whether_a_phone_is_known(service: Service) -> None:
    known = (await service.sign_in()).phone
    service.clock.move(seconds=3)
    sent = [await service.send_code(phone) for phone in (known, new_phone())]
    comparable = [
        {name: each[name] for name in each if name not in {"token", "phone", "code"}}
        for each in sent
    ]
    assert comparable[0] == comparable[1]
    assert sent[0].keys() == sent[1].keys()
    assert len(sent[0]["token"]) == len(sent[1]["token"])


async def test_responses_with_tokens_are_no_store(service: Service) -> None:
    sent = await service.post("/auth/send-code", phone=new_phone())
    for response in (sent, await service.verify(ok(sent))):
        assert response.headers["cache-control"] == "no-store"
        assert response.headers["content-type"] == "application/json"


async def test_verify_returns_tokens_and_profile(service: Service) -> None:
    person = await service.sign_in()
    assert person.tokens.keys() == {
        "access_token",
        "token_type",
        "expires_in",
        "refresh_token",
        "device_token",
        "profile",
    }
    assert (person.tokens["token_type"], person.tokens["expires_in"]) == ("Bearer", 900)
    assert person.tokens["profile"] == await person.profile()


async def test_a_resend_keeps_earlier_challenges_valid(service: Service) -> None:
    phone = new_phone()
    first = await service.send_code(phone)
    service.clock.move(seconds=3)
    second = await service.send_code(phone)
    ok(await service.verify(first))
    ok(await service.verify(second))


async def test_a_code_is_valid_until_it_expires(service: Service) -> None:
    sent = await service.send_code(new_phone())
    service.clock.move(seconds=115)
    ok(await service.verify(sent))


async def test_the_code_of_another_challenge_is_wrong(service: Service) -> None:
    phone = new_phone()
    first = await service.send_code(phone)
    service.clock.move(seconds=3)
    second = await service.send_code(phone)
    while second["code"] == first["code"]:
        service.clock.move(seconds=3)
        second = await service.send_code(phone)
    refused(await service.verify({**first, "code": second["code"]}), 400, "wrong_code")


async def test_altered_and_foreign_challenges_are_refused(service: Service) -> None:
    """Other spellings too, so that a challenge is one text; the original stays valid."""
    sent = await service.send_code(new_phone())
    token = sent["token"]
    header, _, iv, text, tag = token.split(".")
    general = {"protected": header, "iv": iv, "ciphertext": text, "tag": tag}
    person = await service.sign_in()
    for altered in (
        "",
        "x",
        token + "=",
        token + "\n",
        " " + token,
        token[:-4],
        f"{header}..{iv}.{text}.{tag[::-1]}",
        f"{header}..{iv}.{text[::-1]}.{tag}",
        f"{header}.AA.{iv}.{text}.{tag}",
        f"{urlsafe_b64encode(b'{}').decode()}..{iv}.{text}.{tag}",
        json.dumps(general),
        "A" * 5000,
        "\u0660" * 10,
        person.tokens["device_token"],
        person.tokens["access_token"],
        person.tokens["refresh_token"],
    ):
        refused(await service.verify({**sent, "token": altered}), 400, "challenge_invalid")
    ok(await service.verify(sent))


async def test_a_malformed_code_is_not_charged(service: Service) -> None:
    sent = await service.send_code(new_phone())
    for code in (
        "123",
        "123456789",
        "12a4",
        "1234 5678 #",
        "+123",
        f"{sent['code']} #{sent['code']}0",
        f"{sent['code']}{' ' * 1000}",
        "",
    ):
        body = refused(await service.verify({**sent, "code": code}), 400, "invalid_request")
        assert [error["field"] for error in body["errors"]] == ["code"]
    ok(await service.verify(sent))


async def test_a_code_of_another_length_is_not_charged(service: Service) -> None:
    sent = await service.send_code(new_phone())
    for code in (sent["code"] + "0", "0" + sent["code"], sent["code"][:3]) * 2:
        refused(await service.verify({**sent, "code": code}), 400, "invalid_request")
    ok(await service.verify(sent))


async def test_a_code_may_be_typed_or_pasted_in_many_forms(service: Service) -> None:
    for form in ("{0} ", "\u2068{1}-{2}\u2069", "13:40 Bloom: {0} is your code.\n@x.example #{0}"):
        sent = await service.send_code(new_phone())
        code = sent["code"]
        typed = form.format(code, code[:2], code[2:])
        ok(await service.verify({**sent, "code": typed}))
    sent = await service.send_code(new_phone())
    arabic = sent["code"].translate({ord("0") + digit: 0x660 + digit for digit in range(10)})
    ok(await service.verify({**sent, "code": arabic}))


async def test_a_blank_invite_code_counts_as_absent(service: Service) -> None:
    for text in ("", " "):
        assert (await service.sign_in(invite_code=text)).is_new


async def test_only_three_parallel_guesses_are_compared(service: Service) -> None:
    """Afterwards the right code is refused too."""
    sent = await service.send_code(new_phone())
    wrong = [f"{(int(sent['code']) + step) % 10_000:04}" for step in range(1, 31)]
    responses = await asyncio.gather(*(service.verify({**sent, "code": code}) for code in wrong))
    codes = sorted(response.json()["code"] for response in responses)
    assert codes == ["too_many_attempts"] * 27 + ["wrong_code"] * 3
    refused(await service.verify(sent), 429, "too_many_attempts")


# With an invite code


async def test_a_sign_up_activates_an_invite_code(service: Service) -> None:
    inviter = await service.sign_in()
    code = await inviter.invite_code()
    invitee = await service.sign_in(invite_code=code.lower())
    assert invitee.is_new
    assert invitee.tokens["profile"]["activated_invite_code"] == code
    profile = await inviter.profile()
    assert (profile["invitees"], profile["invitee_count"]) == ([invitee.phone], 1)


async def test_a_later_sign_in_activates_and_may_repeat_it(service: Service) -> None:
    inviter, person = await service.sign_in(), await service.sign_in()
    code = await inviter.invite_code()
    for _ in range(2):
        again = await service.sign_in_again(person, invite_code=code)
        assert not again.is_new
        assert again.tokens["profile"]["activated_invite_code"] == code
    assert (await inviter.profile())["invitee_count"] == 1


async def test_a_wrong_code_is_reported_before_the_invite_code(service: Service) -> None:
    sent = await service.send_code(new_phone())
    wrong = with_wrong_code(sent)
    refused(await service.verify(wrong, invite_code="nonsense"), 400, "wrong_code")


async def test_a_refused_invite_code_creates_and_charges_nothing(service: Service) -> None:
    """The challenge stays valid, so the pages can continue without the invite code."""
    person = await service.sign_in()
    sent = await service.send_code(new_phone())
    for text in ("000000", "nonsense", "7KQ2M\u0660"):
        response = await service.verify(sent, invite_code=text)
        refused(response, 404, "unknown_invite_code")
    rows = await database.query("SELECT phone FROM users")
    assert [row["phone"] for row in rows] == [person.phone]
    assert (await service.verify(sent)).status_code == 201


async def test_invitation_rules_apply_at_sign_in(service: Service) -> None:
    """The challenge stays valid after each refusal."""
    top = await service.sign_in()
    middle = await service.sign_in(invite_code=await top.invite_code())
    low = await service.sign_in(invite_code=await middle.invite_code())
    for person, code, problem in (
        (top, await top.invite_code(), "own_invite_code"),
        (top, await low.invite_code(), "invite_loop"),
        (low, await top.invite_code(), "invite_already_activated"),
    ):
        service.clock.move(seconds=3)
        sent = await service.send_code(person.phone)
        for _ in range(4):
            refused(await service.verify(sent, invite_code=code), 409, problem)
        assert (await service.verify(sent)).status_code == 200


# What is stored, and what is sent


async def test_no_code_or_token_is_stored(database_url: str) -> None:
    """Not as text, and neither the salt nor the digest of a code."""
    async with running(database_url, REFERRAL_CODE_LENGTH="8") as service:
        guessed = await service.send_code(new_phone())
        wrong = wrong_code(guessed["code"])
        refused(await service.verify({**guessed, "code": wrong}), 400, "wrong_code")
        sent = await service.send_code(new_phone())
        tokens = ok(await service.verify(sent))
        rotated = ok(await service.post("/auth/refresh", refresh_token=tokens["refresh_token"]))
        secrets: list[str] = [guessed["code"], wrong, sent["code"], SECRET]
        for each in (guessed, sent):
            opened = challenges.decrypt(
                each["token"],
                purpose=Purpose.SIGN_IN,
                now=service.clock(),
                keys=Keyring([SECRET.encode()]),
            )
            secrets += [opened.salt, opened.digest, decoded(opened.digest).hex(), each["token"]]
        for each in (tokens, rotated):
            changing = decoded(each["refresh_token"])[16:]
            secrets += [each["refresh_token"], changing[:16].hex(), changing[16:].hex()]
            secrets += [each["access_token"], each["access_token"].split(".")[2]]
        secrets.append(tokens["device_token"])
        dump = await dumped()
    assert sent["phone"] in dump
    assert [secret for secret in secrets if secret in dump] == []


async def test_the_response_has_no_code_with_a_real_gateway(database_url: str) -> None:
    async with running(database_url, inbox=Inbox(echoes_code=False)) as service:
        sent = await service.send_code("+7 999 123 45 67")
        assert sent.keys() == {
            *("token", "phone", "code_length", "expires_in", "resend_in"),
            *("channel", "other_channels"),
        }
        (message,) = service.inbox.messages
        assert message.phone == "+79991234567"
        assert message.code is not None
        assert len(message.code) == sent["code_length"]
        assert (await service.verify({**sent, "code": message.code})).status_code == 201


async def test_a_test_phone_has_a_fixed_code_and_no_message(database_url: str) -> None:
    """Until its last day in UTC; then it is like any other phone."""
    fixed = f"+79990000001=12345678@{TODAY}"
    async with running(database_url, REFERRAL_TEST_PHONES=fixed) as service:
        service.clock.move(days=(TODAY - service.clock().date()).days)
        sent = await service.send_code("8 (999) 000-00-01".replace("8", "+7", 1))
        assert "code" not in sent
        assert (sent["phone"], sent["code_length"]) == ("+79990000001", 8)
        assert service.inbox.messages == []
        refused(await service.verify({**sent, "code": "12345679"}), 400, "wrong_code")
        assert (await service.verify({**sent, "code": "12345678"})).status_code == 201
        ok(await service.verify(await service.send_code(new_phone())))
        service.clock.move(days=1)
        later = await service.send_code("+79990000001")
        assert [message.phone for message in service.inbox.messages][1:] == ["+79990000001"]
        assert later["code_length"] == 4
        assert (await service.verify(later)).status_code == 200
