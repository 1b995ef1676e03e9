"""Our catalogues: every text is there, and translated."""

from __future__ import annotations

import io
import re
from typing import Any

import pytest
from babel.messages.catalog import Catalog, Message
from babel.messages.extract import extract_from_dir
from babel.messages.mofile import read_mo
from babel.messages.pofile import read_po

import catalogues
from processes import ROOT
from referral import i18n
from referral.i18n import Locale, rules
from referral.i18n.rules import Source

ARABIC, ENGLISH = i18n.PREPARED["ar"], i18n.PREPARED["en"]


def source_texts() -> set[str | tuple[str, ...]]:
    """Return every text that the code and the pages translate."""
    methods = [("**.py", "python"), ("**/templates/**.html", "jinja2")]
    return {found[2] for found in extract_from_dir(ROOT / "src" / "referral", methods)}


def test_every_catalogue_is_of_an_offered_language() -> None:
    """A language is offered as soon as its catalogue is complete."""
    folders = {file.parent.parent.name for file in i18n.LOCALES.glob("*/LC_MESSAGES/*.po")}
    offered = {i18n.PREPARED[tag].folder for tag in i18n.LANGUAGES}
    assert folders == offered, "add the language to LANGUAGES in i18n, or remove the folder"


@pytest.mark.parametrize("tag", catalogues.present())
def test_every_text_is_in_the_catalogue(tag: str) -> None:
    different = {entry.id for entry in babels(tag) if entry.id} ^ source_texts()
    assert not different, f"run make messages for {different}"


@pytest.mark.parametrize("tag", catalogues.present())
def test_every_text_is_translated_and_fits(tag: str) -> None:
    """It has the placeholders, tags and marks of the text, and is not too long for its place."""
    found = list(catalogues.faults(tag))
    assert not found, "\n".join(found)


@pytest.mark.parametrize("tag", catalogues.present())
def test_the_compiled_catalogue_is_up_to_date(tag: str) -> None:
    """`make messages` compiles it."""
    text = babels(tag)
    compiled = read_mo(io.BytesIO(catalogues.path(i18n.PREPARED[tag], "mo").read_bytes()))
    assert strings(compiled) == strings(text), "run make messages"
    assert compiled.plural_expr == text.plural_expr
    assert text.plural_forms.replace(" ", "") == i18n.PREPARED[tag].plural_forms.replace(" ", "")


@pytest.mark.parametrize("tag", catalogues.present())
def test_our_parser_reads_what_babel_reads(tag: str) -> None:
    expected = {
        next(iter(entry.id)) if entry.pluralizable else entry.id: _forms(entry)
        for entry in babels(tag)
        if entry.id
    }
    assert {each.msgid: [*each.forms.values()] for each in catalogues.entries(tag)} == expected


def _forms(entry: Message) -> list[str]:
    return list(entry.string or ()) if entry.pluralizable else [str(entry.string)]


def babels(tag: str) -> Catalog:
    locale = i18n.PREPARED[tag]
    return read_po(io.BytesIO(catalogues.path(locale, "po").read_bytes()), locale=locale.folder)


def strings(catalogue: Catalog) -> dict[Any, list[str]]:
    """Return the translations. A plural without one is compiled as its own translation."""
    translated = {}
    for entry in catalogue:
        forms = entry.string if any(entry.string or "") else entry.id if entry.pluralizable else ()
        if entry.id and forms:
            translated[tuple(entry.id)] = list(forms)
    return translated


@pytest.mark.parametrize(
    ("source", "forms", "locale", "fault"),
    [
        (Source("Hi %(app)s"), ["Hi %(ap)s"], ENGLISH, "placeholders"),
        (Source("Hi %(app)s"), ["Hi"], ENGLISH, "placeholders"),
        (Source("Hi %(app)s"), ["%(app)s %(app)s"], ENGLISH, "placeholders"),
        (Source("Hi %(app)s"), ["Hi %(app)r"], ENGLISH, "placeholders"),
        (Source("{code} is"), ["{code!r} is"], ENGLISH, "placeholders"),
        (Source("{code} is"), ["{code.x} is"], ENGLISH, "placeholders"),
        (Source("<b>%(a)s</b>"), ["%(a)s"], ENGLISH, "tags"),
        (Source("<b>%(a)s</b>"), ["</b>%(a)s<b>"], ENGLISH, "tags"),
        (Source("<b>%(a)s</b>"), ['<b class="x">%(a)s</b>'], ENGLISH, "tags"),
        (Source("<b>%(a)s</b>"), ["<b>%(a)s</b><script>"], ENGLISH, "tags"),
        (Source("one"), ["two\nlines"], ENGLISH, "line break"),
        (Source("one", "more"), ["one"], ENGLISH, "fill in"),
        (Source("one", "more"), ["one", ""], ENGLISH, "fill in"),
        (Source("%(num)d try", "%(num)d tries"), ["one", "%(num)d"], ENGLISH, ""),
        (Source("%(num)d try", "%(num)d tries"), ["%(num)d", "many"], ENGLISH, "placeholders"),
        (Source("%(num)d", "%(num)d"), [*3 * [""], *3 * ["%(num)d"]], ARABIC, "fill in"),
        (Source("%(num)d", "%(num)d"), [*3 * ["word"], *3 * ["%(num)d"]], ARABIC, ""),
        (Source("%(num)d", "%(num)d"), [*4 * ["word"], *2 * ["%(num)d"]], ARABIC, "placeholders"),
    ],
)
def test_faults_of_a_translation(
    source: Source, forms: list[str], locale: Locale, fault: str
) -> None:
    """A form of a single number may do without it."""
    found = list(rules.faults(source, forms, locale))
    assert bool(found) == bool(fault)
    assert all(fault in each for each in found)


def test_the_invented_language_keeps_placeholders_and_tags() -> None:
    arabic = catalogues.pseudo()["ar"]
    assert "%(num)d" in arabic.ngettext("%(num)d try is left.", "%(num)d tries are left.", 2)
    assert not re.search("[a-zA-Z]", arabic.gettext("Language"))
