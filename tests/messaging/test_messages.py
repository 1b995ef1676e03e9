"""The texts of messages, and their catalogues."""

from __future__ import annotations

import io
from pathlib import Path
from string import Formatter
from typing import Any

import pytest
from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.mofile import read_mo
from babel.messages.pofile import read_po
from hypothesis import given
from hypothesis import strategies as st

from processes import ROOT
from referral import i18n
from referral.messaging.gateways import Message
from support import Service, new_phone, ok, running

WORDS = {
    "en": "{} is your code for Referral. Do not share it with anyone.",
    "ru": "{} — ваш код для Referral. Никому его не сообщайте.",
}
NOTICES = {
    "en": "The account of this number at Referral",
    "ru": "Аккаунт Referral с этого номера",
}
MAX_SMS = {"en": 1, "ru": 2}
# The basic character set of GSM 03.38
GSM = set(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    "ÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
LONGEST_SITE = "https://" + "a" * 37 + ".example.com"


def segments(text: str) -> int:
    """Return how many SMS a text takes."""
    whole, part = (160, 153) if set(text) <= GSM else (70, 67)
    return 1 if len(text) <= whole else -(-len(text) // part)


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


@pytest.mark.parametrize("expected", [WORDS, NOTICES, MAX_SMS])
def test_messages_of_every_language_are_tested(expected: dict[str, str | int]) -> None:
    assert expected.keys() == set(i18n.LANGUAGES), f"add the language to the table of {expected}"


@pytest.mark.parametrize(("language", "words"), WORDS.items())
async def test_the_code_comes_first_and_is_bound_to_the_site(
    database_url: str, language: str, words: str
) -> None:
    """Nothing in the text comes from the request."""
    url = "https://app.example:8443"
    async with running(database_url, REFERRAL_PUBLIC_URL=url) as service:
        message = await sent_to(service, language)
    assert message.code is not None
    assert message.language == language
    first, last = message.text.split("\n")
    assert first == words.format(message.code)
    assert last == f"@app.example #{message.code}"


@pytest.mark.parametrize(("language", "start"), NOTICES.items())
async def test_the_old_phone_is_notified_in_the_callers_language(
    service: Service, language: str, start: str
) -> None:
    message = await phone_changed(service, language)
    assert message.text.startswith(start)
    assert (message.code, message.language) == (None, language)


@pytest.mark.parametrize(("language", "most"), MAX_SMS.items())
async def test_a_text_takes_few_sms(database_url: str, language: str, most: int) -> None:
    """With the longest code, a long name of the app, and a host of 49 characters."""
    async with running(
        database_url,
        REFERRAL_APP_NAME="Friends of the long names and their other friends",
        REFERRAL_PUBLIC_URL=LONGEST_SITE,
        REFERRAL_CODE_LENGTH="8",
    ) as service:
        code = await sent_to(service, language)
        notice = await phone_changed(service, language)
        for message in (code, notice):
            assert segments(message.text) <= most, message.text


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


# The language


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("", "en"),
        ("ru", "ru"),
        ("RU-ru", "ru"),
        ("ru-RU,ru;q=0.9,en-US;q=0.8,en;q=0.7", "ru"),
        ("en-US,ru;q=0.9", "en"),
        ("xx, yy;q=0.9", "en"),
        ("xx, ru;q=0.3, en;q=0.2", "ru"),
        ("en;q=0.2, ru;q=0.3", "ru"),
        ("en;q=0, ru;q=0.001", "ru"),
        ("ru;q=0", "en"),
        ("*", "en"),
        ("*, ru;q=0.5", "en"),
        ("xx;q=1.0, *;q=0.5, ru;q=0.1", "en"),
        ("ru;q=2, ;;, =, ru;q=1;x", "en"),
        ("rus, ruu-RU", "en"),
    ],
)
def test_the_preferred_supported_language_is_chosen(header: str, language: str) -> None:
    assert i18n.choose(header) == language


@given(st.text())
def test_any_header_results_in_a_language(header: str) -> None:
    assert i18n.choose(header) in i18n.LANGUAGES


# Catalogues


def source_texts() -> set[str | tuple[str, ...]]:
    """Return every text that the code and the pages translate."""
    methods = [("**.py", "python"), ("**/templates/**.html", "jinja2")]
    return {found[2] for found in extract_from_dir(ROOT / "src" / "referral", methods)}


def catalogue(language: str) -> Catalog:
    return read_po(io.BytesIO(path(language, "po").read_bytes()), locale=language)


def test_every_language_has_a_catalogue_and_vice_versa() -> None:
    found = {file.parent.parent.name for file in i18n.LOCALES.glob("*/LC_MESSAGES/*.po")}
    assert found == set(i18n.LANGUAGES), "run make messages, or remove the folder in locales/"


@pytest.mark.parametrize("language", i18n.LANGUAGES)
def test_every_text_is_in_the_catalogue_and_translated(language: str) -> None:
    """`make messages` adds new texts. English needs no translation, since it is the source."""
    entries = [entry for entry in catalogue(language) if entry.id]
    different = {entry.id for entry in entries} ^ source_texts()
    assert not different, f"run make messages for {different}"
    for entry in entries:
        assert not entry.fuzzy, entry.id
        assert language == i18n.DEFAULT or entry.string, f"translate in locales/: {entry.id}"
        assert not list(entry.check()), entry.id


@pytest.mark.parametrize("language", i18n.LANGUAGES)
def test_a_translation_has_the_same_placeholders(language: str) -> None:
    for entry in catalogue(language):
        if isinstance(entry.id, str) and entry.id and entry.string:
            assert placeholders(str(entry.string)) == placeholders(entry.id)


@pytest.mark.parametrize("language", i18n.LANGUAGES)
def test_the_compiled_catalogue_is_up_to_date(language: str) -> None:
    """`make messages` compiles it."""
    text = catalogue(language)
    compiled = read_mo(io.BytesIO(path(language, "mo").read_bytes()))
    assert strings(compiled) == strings(text), "run make messages"
    assert compiled.plural_expr == text.plural_expr


def path(language: str, ending: str) -> Path:
    return i18n.LOCALES / language / "LC_MESSAGES" / f"{i18n.DOMAIN}.{ending}"


def strings(catalogue: Catalog) -> dict[Any, list[str]]:
    """Return the translations. A plural without one is compiled as its own translation."""
    translated = {}
    for entry in catalogue:
        forms = entry.string if any(entry.string or "") else entry.id if entry.pluralizable else ()
        if entry.id and forms:
            translated[tuple(entry.id)] = list(forms)
    return translated


def placeholders(text: str) -> set[str | None]:
    return {name for _, name, _, _ in Formatter().parse(text) if name is not None}
