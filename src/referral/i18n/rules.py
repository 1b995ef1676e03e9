"""What a translation must have in common with its text: placeholders and tags."""

from __future__ import annotations

import gettext
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache

from markupsafe import escape

from referral.i18n import Locale
from referral.i18n.po import compiled

_PLACEHOLDER = re.compile(r"%\((\w+)\)[sd]")
_BRACES = re.compile(r"\{(\w+)\}")
_TAG = re.compile(r"</?[a-z][^<>]*>")
# The placeholders for the number that chooses a plural form
_COUNTS = frozenset({"num", "count", "number", "days", "goal"})
_SAMPLE = range(1001)
_ONE, _MORE = "one", "more"


@dataclass(frozen=True, slots=True)
class Source:
    """A text of ours, in English."""

    msgid: str
    plural: str | None = None

    @property
    def placeholders(self) -> Counter[str]:
        """Every placeholder, as it is written."""
        return placeholders(self.plural or self.msgid, has_braces=self.has_braces)

    @property
    def has_braces(self) -> bool:
        """Whether placeholders are written {name}, as in messages to phones."""
        return _BRACES.search(self.msgid) is not None

    @property
    def tags(self) -> Counter[str]:
        return Counter(_TAG.findall(self.plural or self.msgid))


def placeholders(text: str, *, has_braces: bool) -> Counter[str]:
    pattern = _BRACES if has_braces else _PLACEHOLDER
    return Counter(found[0] for found in pattern.finditer(text))


def faults(source: Source, forms: list[str], locale: Locale) -> Iterator[str]:
    """Yield a sentence for each thing that a translation must not have, or lacks."""
    expected_forms = plural_count(locale) if source.plural else 1
    if len(forms) != expected_forms or not all(forms):
        numbers = ", ".join(f"msgstr[{number}]" for number in range(expected_forms))
        yield f"fill in {numbers if source.plural else 'msgstr'}, and no other"
        return
    single = _single_number_forms(locale) if source.plural else frozenset()
    for number, text in enumerate(forms):
        if not _same_placeholders(source, text, may_lack_count=number in single):
            names = " ".join(sorted(source.placeholders.elements())) or "none"
            yield f"has other placeholders than the text: use exactly {names}"
        if source.tags and (Counter(_TAG.findall(text)) != source.tags or not _nests(text)):
            yield f"has other tags than the text: use exactly {' '.join(source.tags.elements())}"
        if any(ord(letter) < ord(" ") or letter in "\x7f\x85\u2028\u2029" for letter in text):
            yield "has a line break or another control character: write it in one line"


def _same_placeholders(source: Source, text: str, *, may_lack_count: bool) -> bool:
    found = placeholders(text, has_braces=source.has_braces)
    if found == source.placeholders:
        return True
    counts = {each for each in source.placeholders if each[2:-2] in _COUNTS}
    lacking = source.placeholders - found
    return may_lack_count and not found - source.placeholders and set(lacking) <= counts


def plural_count(locale: Locale) -> int:
    return int(re.findall(r"nplurals=([0-9])", locale.plural_forms)[0])


def form_of(locale: Locale, number: int) -> int:
    """Return which plural form a number has."""
    return int(_numbered(locale).ngettext(_ONE, _MORE, number))


def _numbered(locale: Locale) -> gettext.GNUTranslations:
    forms = [str(number) for number in range(plural_count(locale))]
    return compiled({(_ONE, _MORE): forms}, plural_forms=locale.plural_forms)


@cache
def _single_number_forms(locale: Locale) -> frozenset[int]:
    """Return the forms of a single number, such as Arabic's for 2, which may do without it."""
    numbered = _numbered(locale)
    counts = Counter(numbered.ngettext(_ONE, _MORE, number) for number in _SAMPLE)
    return frozenset(int(form) for form, numbers in counts.items() if numbers == 1)


def _nests(text: str) -> bool:
    """Return whether each tag is closed in the right order."""
    stack: list[str] = []
    for tag in _TAG.findall(text):
        name = re.findall(r"[a-z]+", tag)[0]
        if not tag.startswith("</"):
            stack.append(name)
        elif not stack or stack.pop() != name:
            return False
    return not stack


def as_plain(source: Source, text: str) -> str:
    """Return a team's text as our code formats it: a percent sign or brace is a plain one."""
    if source.has_braces:
        return _outside(_BRACES, text, lambda part: part.replace("{", "{{").replace("}", "}}"))
    return _doubled(text) if source.placeholders else text


def as_html(source: Source, text: str) -> str:
    """Return a team's text for templates: escaped, but for placeholders and tags of ours.

    Templates format every text, also one without placeholders.
    """
    doubled = _doubled(text)
    if not source.tags:
        return str(escape(doubled))
    return _outside(_TAG, doubled, lambda part: str(escape(part)))


def _doubled(text: str) -> str:
    return _outside(_PLACEHOLDER, text, lambda part: part.replace("%", "%%"))


def _outside(pattern: re.Pattern[str], text: str, change: Callable[[str], str]) -> str:
    """Change the parts of a text that do not match."""
    parts, end = [], 0
    for found in pattern.finditer(text):
        parts += [change(text[end : found.start()]), found[0]]
        end = found.end()
    return "".join([*parts, change(text[end:])])
