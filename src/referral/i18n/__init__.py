"""The languages of messages and pages, and their texts."""

from __future__ import annotations

import gettext
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from referral.i18n import accept_language

DOMAIN = "referral"
LOCALES = Path(__file__).parent.parent / "locales"


def N_(text: str) -> str:  # noqa: N802 - the conventional name, which pybabel looks for
    """Mark a text for extraction into the catalogues, without translating it yet."""
    return text


# Plural forms of whole numbers, as CLDR has them. GNU gettext's syntax
_ONE_OR_MORE = "nplurals=2; plural=(n != 1);"
_UP_TO_ONE_OR_MORE = "nplurals=2; plural=(n > 1);"
_SLAVIC = (
    "nplurals=3; plural=(n%10==1 && n%100!=11 ? 0 : "
    "n%10>=2 && n%10<=4 && (n%100<10 || n%100>=20) ? 1 : 2);"
)
_ARABIC = (
    "nplurals=6; plural=(n==0 ? 0 : n==1 ? 1 : n==2 ? 2 : "
    "n%100>=3 && n%100<=10 ? 3 : n%100>=11 ? 4 : 5);"
)


@dataclass(frozen=True, slots=True)
class Locale:
    """A language, as a catalogue needs it."""

    tag: str
    """As in HTML and HTTP (BCP 47)."""
    name: str
    """In the language itself."""
    plural_forms: str
    """The header Plural-Forms of its catalogues."""
    direction: str = "ltr"

    @property
    def folder(self) -> str:
        """The name of its folder of catalogues, as gettext writes it: `pt_BR`."""
        return self.tag.replace("-", "_")


PREPARED = {
    locale.tag: locale
    for locale in (
        Locale("en", "English", _ONE_OR_MORE),
        Locale("ru", "Русский", _SLAVIC),
        Locale("es", "Español", _ONE_OR_MORE),
        Locale("pt-BR", "Português (Brasil)", _UP_TO_ONE_OR_MORE),
        Locale("de", "Deutsch", _ONE_OR_MORE),
        Locale("fr", "Français", _UP_TO_ONE_OR_MORE),
        Locale("tr", "Türkçe", _ONE_OR_MORE),
        Locale("uk", "Українська", _SLAVIC),
        Locale("kk", "Қазақша", _ONE_OR_MORE),
        Locale("ar", "العربية", _ARABIC, direction="rtl"),
    )
}
"""Every language that a catalogue can be written for."""

# Those that are offered, in the order in which pages list them: their catalogues are complete
LANGUAGES = (
    "en",
    "ru",
    "es",
    "pt-BR",
    "de",
    "fr",
    "tr",
    "uk",
    "kk",
    "ar",
)
DEFAULT = LANGUAGES[0]


@dataclass(frozen=True, eq=False)
class Language:
    """A language that a service offers, with its texts: ours, under those of the team."""

    locale: Locale
    plain: gettext.NullTranslations
    """Texts that are not HTML, with placeholders: whoever shows them escapes them."""
    html: gettext.NullTranslations
    """The same texts for templates, in which our tags are HTML and the team's text is escaped."""

    @property
    def tag(self) -> str:
        return self.locale.tag

    @property
    def name(self) -> str:
        return self.locale.name

    @property
    def direction(self) -> str:
        return self.locale.direction

    def gettext(self, message: str) -> str:
        return self.plain.gettext(message)

    def ngettext(self, singular: str, plural: str, number: int) -> str:
        return self.plain.ngettext(singular, plural, number)


@dataclass(frozen=True, eq=False)
class Languages:
    """The languages that a service offers, by tag. The first one is the default."""

    by_tag: Mapping[str, Language]

    def __iter__(self) -> Iterator[Language]:
        return iter(self.by_tag.values())

    def __getitem__(self, tag: str) -> Language:
        return self.by_tag[tag]

    def get(self, tag: str | None) -> Language | None:
        return self.by_tag.get(tag or "")

    @property
    def default(self) -> Language:
        return next(iter(self))

    def choose(self, header: str) -> Language:
        """Return the language that Accept-Language prefers, or the default."""
        return self.by_tag[choose(header, self.by_tag)]


def choose(header: str, offered: Collection[str] = LANGUAGES) -> str:
    """Return the offered tag that Accept-Language prefers, or the first one."""
    wanted = accept_language.parse(header)
    named = {language_range for weight, language_range in wanted if weight > 0}
    refused = {
        tag
        for weight, language_range in wanted
        for tag in offered
        if weight == 0 and _covers(language_range, tag) and tag.lower() not in named
    }
    for weight, language_range in wanted:
        if weight > 0 and (tag := _look_up(language_range, offered, refused)):
            return tag
    return next(iter(offered))


def _look_up(language_range: str, offered: Collection[str], refused: Collection[str]) -> str | None:
    """Return the offered tag that fits a range best (RFC 4647, section 3.4), or None.

    Where only another region's variety is offered, that is it: `pt-BR` for `pt-PT`.
    """
    left = [tag for tag in offered if tag not in refused]
    if language_range == "*":
        return next(iter(left), None)
    subtags = language_range.split("-")
    for length in range(len(subtags), 0, -1):
        shortened = "-".join(subtags[:length])
        if found := next((tag for tag in left if tag.lower() == shortened), None):
            return found
    return next((tag for tag in left if _covers(subtags[0], tag)), None)


def _covers(language_range: str, tag: str) -> bool:
    """Return whether a range matches a tag by filtering (RFC 4647, section 3.3.1)."""
    return f"{tag.lower()}-".startswith(f"{language_range}-")


@cache
def ours(tags: tuple[str, ...] = LANGUAGES) -> Languages:
    """Return these languages with our own texts only."""
    return languages(
        (PREPARED[tag], gettext.translation(DOMAIN, LOCALES, languages=[PREPARED[tag].folder]))
        for tag in tags
    )


def languages(found: Iterable[tuple[Locale, gettext.NullTranslations]]) -> Languages:
    """Return languages with these texts, which are trusted: their tags are HTML in templates."""
    return Languages({locale.tag: Language(locale, texts, texts) for locale, texts in found})
