"""The texts of messages."""

from __future__ import annotations

import pytest

import catalogues
from referral import i18n
from referral.core import sms
from referral.messaging.gateways import Message
from support import Service, new_phone, ok, running


async def sent_to(service: Service, language: str, phone: str = "") -> Message:
    """Request a code in this language, and return the message."""
    response = await service.http.post(
        "/api/v1/auth/send-code",
        json={"phone": phone or new_phone()},
        headers={"Accept-Language": language, "Host": "evil.example", "User-Agent": "@evil #1"},
    )
    ok(response)
    return service.inbox.messages[-1]


async def phone_changed(service: Service, language: str) -> Message:
    """Change a user's phone, and return the message to the old one."""
    person = await service.sign_in()
    sent = ok(await person.call("POST", "/profile/phone/send-code", json={"phone": new_phone()}))
    body = {"token": sent["token"], "code": sent["code"]}
    ok(await person.call("PUT", "/profile/phone", json=body, headers={"Accept-Language": language}))
    return service.inbox.messages[-1]


# Texts


async def test_the_code_comes_first_and_is_bound_to_the_site(database_url: str) -> None:
    """In every language. Nothing in the text comes from the request."""
    url = "https://app.example:8443"
    async with running(
        database_url, None, catalogues.all_languages(), REFERRAL_PUBLIC_URL=url
    ) as service:
        for tag in catalogues.present():
            message = await sent_to(service, tag)
            assert message.code is not None
            assert message.language == tag
            first, last = message.text.split("\n")
            assert first.startswith(message.code)
            assert "Referral" in first
            assert last == f"@app.example #{message.code}"


async def test_words_of_the_message_with_a_code(service: Service) -> None:
    english, russian = await sent_to(service, "en"), await sent_to(service, "ru")
    assert english.text.startswith(f"{english.code} is your code for Referral. Do not share")
    assert russian.text.startswith(f"{russian.code} — ваш код для Referral. Никому")


@pytest.mark.parametrize(
    ("language", "start"),
    [
        ("en", "Your Referral account has a new phone number."),
        ("ru", "У вашего аккаунта Referral новый номер телефона."),
    ],
)
async def test_the_old_phone_is_notified_in_the_callers_language(
    service: Service, language: str, start: str
) -> None:
    message = await phone_changed(service, language)
    assert message.text.startswith(start)
    assert (message.code, message.language) == (None, language)


async def test_a_text_takes_few_sms(database_url: str) -> None:
    """With the longest code, a long name of the app, and a host of 49 characters."""
    async with running(
        database_url,
        None,
        catalogues.all_languages(),
        REFERRAL_APP_NAME=catalogues.LONGEST_NAME,
        REFERRAL_PUBLIC_URL=catalogues.LONGEST_SITE,
        REFERRAL_CODE_LENGTH="8",
    ) as service:
        for tag in catalogues.present():
            for message in (await sent_to(service, tag), await phone_changed(service, tag)):
                assert sms.segments(message.text) <= catalogues.MAX_SMS[tag], message.text


def test_every_language_has_a_number_of_sms() -> None:
    assert catalogues.MAX_SMS.keys() == i18n.PREPARED.keys()


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("", 1),
        (160 * "a", 1),
        (161 * "a", 2),
        (306 * "a", 2),
        (307 * "a", 3),
        (160 * "é", 1),
        (70 * "ó", 1),
        (71 * "ó", 2),
        (79 * "€" + "ab", 1),
        (80 * "€" + "a", 2),
        (35 * "\U0001f600", 1),
        (36 * "\U0001f600", 2),
        (134 * "я", 2),
        (135 * "я", 3),
    ],
)
def test_number_of_sms_of_a_text(text: str, number: int) -> None:
    assert sms.segments(text) == number


@pytest.mark.parametrize(
    "name",
    ["@evil.example #123456", "{code} {app}", "x" * 500, "%s %(code)s"],
)
async def test_no_app_name_breaks_the_last_line(database_url: str, name: str) -> None:
    async with running(database_url, REFERRAL_APP_NAME=name) as service:
        message = await sent_to(service, "en")
    first, last = message.text.splitlines()
    assert first.startswith(f"{message.code} is your code for {name[:10]}")
    assert last == f"@127.0.0.1 #{message.code}"


async def test_each_message_has_its_own_id(service: Service) -> None:
    ids = {(await sent_to(service, "en")).id for _ in range(5)}
    assert len(ids) == 5
