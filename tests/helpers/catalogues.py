"""The catalogues as translators write them: which there are, and what is wrong with one.

`python tests/helpers/catalogues.py TAG` prints every fault of a catalogue; `make messages` creates
one with `new TAG`, and asks for the folders of all with `folders`.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

from referral import i18n
from referral.core import sms
from referral.i18n import Languages, Locale, po, rules, team
from referral.i18n.po import Entry
from referral.i18n.rules import Source
from referral.messaging import messages

# How many SMS a message takes at most: letters that are not in GSM 03.38 leave 67 characters in one
MAX_SMS = dict.fromkeys(("en", "es", "pt-BR", "de", "fr", "tr"), 1) | dict.fromkeys(
    ("ru", "uk", "kk", "ar"), 2
)
# With the longest code, a long name of the app, and a host of 49 characters
LONGEST_NAME = "Friends of the long names and their other friends"
LONGEST_SITE = "https://" + "a" * 37 + ".example.com"
# Texts of at most this length without a full stop are labels: buttons, headings, columns, tabs
_LONGEST_LABEL = 25
# Labels whose translation may be longer, because their place is wide
ROOMY = {
    ("ru", "Top inviters"),
}
_ENDS = {".": ".", "!": "!", "?": "?", "؟": "?"}
_OTHER_SCRIPTS = {"ru", "uk", "kk", "ar"}
# Latin words that stand in every language
_KEPT = re.compile(
    r"%\(\w+\)[sd]|\{\w+\}|<code>.*?</code>|<[^<>]*>|https?:\S+|\S+@\S+|com\.example\.app:/done|"
    r"[a-z]+(?:_[a-z]+)+|[A-Z]{2,}(?:_[A-Z]+)*|id_token|referral [a-z -]+|A-Z|a-z|"
    r"\b(?:OpenID Connect|QR|WhatsApp|Telegram|localhost|https?|activated|first|purchase|points|"
    r"days|kopecks|client|command|aud|cookies?|[Ii]d|T\d)\b"
)


def path(locale: Locale, ending: str) -> Path:
    return i18n.LOCALES / locale.folder / "LC_MESSAGES" / f"{i18n.DOMAIN}.{ending}"


def present() -> tuple[str, ...]:
    """Return the tags of the languages that have a catalogue, also of those not offered yet."""
    return tuple(tag for tag, locale in i18n.PREPARED.items() if path(locale, "po").exists())


def entries(tag: str) -> list[Entry]:
    return po.parse(path(i18n.PREPARED[tag], "po").read_text(encoding="utf-8"))


def faults(tag: str) -> Iterator[str]:
    """Yield a line for each text that is not translated, or wrongly."""
    locale = i18n.PREPARED[tag]
    missing = {source.msgid for source in team.source_texts()}
    for entry in entries(tag):
        source = Source(entry.msgid or "", entry.plural)
        missing.discard(source.msgid)
        if entry.is_fuzzy:
            yield f"{source.msgid!r} is marked fuzzy: look at it, and remove the mark"
        elif entry.is_translated or tag != i18n.DEFAULT:
            forms = [text for _, text in sorted(entry.forms.items())]
            found = list(rules.faults(source, forms, locale))
            for fault in found or _differences(tag, source, forms):
                yield f"{source.msgid!r} {fault}: {forms}"
    for msgid in missing:
        yield f"{msgid!r} is not in the catalogue: run make messages"


def _differences(tag: str, source: Source, forms: list[str]) -> Iterator[str]:
    for number, text in enumerate(forms):
        english = source.plural if number and source.plural else source.msgid
        if text != text.strip():
            yield "begins or ends with a space"
        if _ENDS.get(text[-1:]) != _ENDS.get(english[-1:]):
            yield "ends with another mark than the text"
        if re.search(r"%(?!\(|%)|%%", text):
            yield "has a percent sign of its own"
        if tag != i18n.DEFAULT and _is_english(tag, text, english):
            yield "is still English, or has a word in Latin letters"
        longest = max(2 * len(english), len(english) + 12)
        if _is_label(english) and len(text) > longest and (tag, english) not in ROOMY:
            yield f"is a label, and {len(text)} characters long instead of {longest}"
    if source.msgid in messages.TEXTS:
        yield from _costs(tag, source, forms[0])


def _is_english(tag: str, text: str, english: str) -> bool:
    if tag in _OTHER_SCRIPTS:
        return re.search(r"[A-Za-z]{2,}", _KEPT.sub(" ", text)) is not None
    return text == english and " " in _KEPT.sub("", english).strip()


def _is_label(text: str) -> bool:
    return len(text) <= _LONGEST_LABEL and text[-1:] not in _ENDS and "%(" not in text


def _costs(tag: str, source: Source, text: str) -> Iterator[str]:
    if text and source.has_braces:
        if source.msgid == messages.CODE and not text.startswith("{code}"):
            yield "does not begin with the code"
        filled = messages.text(
            text, app_name=LONGEST_NAME, domain=LONGEST_SITE.removeprefix("https://"), code=8 * "0"
        )
        if (count := sms.segments(filled)) > MAX_SMS[tag]:
            others = "".join(sorted(set(text) - sms.GSM))
            yield f"takes {count} SMS instead of {MAX_SMS[tag]}; not in GSM 03.38: {others or '-'}"


def pseudo(tag: str = "ar") -> Languages:
    """Return English, and a language whose texts are English in its letters.

    It shows what is not translated, and the layout before there is a translation.
    """
    locale = i18n.PREPARED[tag]
    texts = {
        (source.msgid, source.plural): [
            _spelt(source.plural or source.msgid)
            for _ in range(rules.plural_count(locale) if source.plural else 1)
        ]
        for source in team.source_texts()
    }
    translations = po.compiled(texts, plural_forms=locale.plural_forms)
    return i18n.languages(
        [(i18n.PREPARED["en"], i18n.ours(("en",))["en"].plain), (locale, translations)]
    )


def _spelt(text: str) -> str:
    """Write the letters outside of placeholders and tags as Arabic ones."""
    arabic = "ابتثجحخدذرزسشصضطظعغفقكلمنه"
    table = {ord("a") + place: letter for place, letter in enumerate(arabic)}
    table |= {ord("A") + place: letter for place, letter in enumerate(arabic)}
    parts = re.split(r"(%\(\w+\)[sd]|\{\w+\}|<[^<>]*>)", text)
    return "".join(part if odd % 2 else part.translate(table) for odd, part in enumerate(parts))


def all_languages() -> Languages:
    """Return every language that has a catalogue, and Arabic in any case."""
    found = i18n.ours(present())
    return found if "ar" in present() else Languages({**found.by_tag, "ar": pseudo()["ar"]})


def _create(locale: Locale) -> None:
    file = path(locale, "po")
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(
            'msgid ""\nmsgstr ""\n"Project-Id-Version: referral\\n"\n'
            f'"Language: {locale.folder}\\n"\n"Plural-Forms: {locale.plural_forms}\\n"\n'
            '"MIME-Version: 1.0\\n"\n"Content-Type: text/plain; charset=utf-8\\n"\n'
            '"Content-Transfer-Encoding: 8bit\\n"\n',
            encoding="utf-8",
        )


def main(arguments: list[str]) -> None:
    if arguments == ["folders"]:
        print(*(i18n.PREPARED[tag].folder for tag in present()))  # noqa: T201 - for make
    elif arguments[:1] == ["new"]:
        locale = i18n.PREPARED[arguments[1]]
        _create(locale)
        print(locale.folder)  # noqa: T201 - for make
    else:
        found = list(faults(arguments[0]))
        print("\n".join(found) or "complete")  # noqa: T201 - what it is for
        sys.exit(bool(found))


if __name__ == "__main__":
    main(sys.argv[1:])
