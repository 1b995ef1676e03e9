"""A team's own texts over ours."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import escape

from referral import i18n
from referral.i18n import po, rules, team
from referral.i18n.rules import Source

TRIES = ("%(num)d try is left.", "%(num)d tries are left.")
JOIN = "Join %(app)s"
TERMS = 'Accept the <a href="%(terms)s">terms</a>.'
SOURCES = [
    *(Source("Saved."), Source("Sign in first."), Source(JOIN), Source(TERMS), Source(*TRIES)),
]
RUSSIAN: dict[tuple[str, str | None], list[str]] = {("Saved.", None): ["Сохранено."]}
ENGLISH: dict[tuple[str, str | None], list[str]] = {}
OURS = i18n.languages(
    (locale, po.compiled(texts, plural_forms=locale.plural_forms))
    for locale, texts in ((i18n.PREPARED["en"], ENGLISH), (i18n.PREPARED["ru"], RUSSIAN))
)


@pytest.fixture(autouse=True)
def _sources(monkeypatch: pytest.MonkeyPatch) -> None:
    """Texts of ours that stay when the product's texts change."""
    monkeypatch.setattr(team, "source_texts", lambda: SOURCES)


def written(folder: Path, text: str, language: str = "en") -> Path:
    """Write a catalogue of one language, and return the folder of all."""
    file = folder / language / "LC_MESSAGES" / "referral.po"
    file.parent.mkdir(parents=True)
    file.write_text(text, encoding="utf-8")
    return folder


def entry(msgid: str, msgstr: str) -> str:
    msgid, msgstr = msgid.replace('"', '\\"'), msgstr.replace('"', '\\"')
    return f'msgid "{msgid}"\nmsgstr "{msgstr}"\n'


def test_a_text_replaces_ours_and_the_others_stay(tmp_path: Path) -> None:
    """Catalogues without a header, in any order, with blank texts are fine."""
    text = "\ufeff# Ours\r\n" + entry("Sign in first.", "Log in 100% first.") + entry("Saved.", "")
    found = team.read(written(tmp_path, text), OURS)
    assert not found.problems + found.warnings
    english = team.over(OURS, found.texts)["en"]
    assert english.gettext("Sign in first.") == "Log in 100% first."
    assert english.gettext("Saved.") == "Saved."
    assert english.html.gettext("Sign in first.") % {} == "Log in 100% first."
    assert OURS["en"].gettext("Sign in first.") == "Sign in first."


@pytest.mark.parametrize("folder", ["pt_BR", "pt-BR", "PT-br"])
def test_a_folder_is_named_after_the_language(tmp_path: Path, folder: str) -> None:
    languages = i18n.languages([(i18n.PREPARED["pt-BR"], OURS["en"].plain)])
    found = team.read(written(tmp_path, entry("Saved.", "Salvo."), folder), languages)
    assert team.over(languages, found.texts)["pt-BR"].gettext("Saved.") == "Salvo."


def test_plural_forms_of_a_text(tmp_path: Path) -> None:
    text = (
        f'msgid "{TRIES[0]}"\nmsgid_plural "{TRIES[1]}"\nmsgstr[0] "%(num)d раз"\n'
        'msgstr[1] "%(num)d раза"\nmsgstr[2] ""\n"%(num)d "\n"разов"\n'
    )
    found = team.read(written(tmp_path, text, "ru"), OURS)
    assert not found.problems + found.warnings
    russian = team.over(OURS, found.texts)["ru"]
    assert [russian.ngettext(*TRIES, number)[8:] for number in (1, 2, 5)] == [
        "раз",
        "раза",
        "разов",
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (entry(JOIN, "Join %(ap)s"), "placeholders"),
        (entry(TERMS, "Terms %(terms)s"), "tags"),
        (entry(TERMS, TERMS.replace("terms<", "<img src=x>terms<")), "tags"),
        (entry("Saved.", "Saved\\nnow."), "one line"),
        (entry("Saved.", "One.") + entry("Saved.", "Two."), "twice"),
        (f'msgid "{TRIES[0]}"\nmsgid_plural "{TRIES[1]}"\nmsgstr[0] "%(num)d"', "fill in"),
        (f'msgid "{TRIES[0]}"\nmsgid_plural "{TRIES[1]}"\nmsgstr[7] "%(num)d"', "fill in"),
        ('msgid "Saved."\nmsgstr Saved', "line 2: write"),
        ('msgid "Saved."', "without msgstr"),
        ('"Saved."', "line 1: write"),
    ],
)
def test_wrong_texts_stop_the_start(tmp_path: Path, text: str, problem: str) -> None:
    """Each problem names the file, the line and the text."""
    found = team.read(written(tmp_path, text), OURS)
    (line,) = found.problems
    assert problem in line
    assert line.startswith("en/LC_MESSAGES/referral.po")


def test_a_text_that_we_do_not_have_is_a_warning(tmp_path: Path) -> None:
    """An upgrade that changes a text must not stop the service; the nearest one is named."""
    text = entry("Sign in frist.", "Log in.") + entry("Zzz", "z")
    text += "#, fuzzy\n" + entry("Saved.", "Kept.") + entry(TRIES[0], "Tries")
    found = team.read(written(tmp_path, text), OURS)
    assert not found.problems
    misspelt, unknown, fuzzy, plural = found.warnings
    assert 'did you mean "Sign in first."?' in misspelt
    assert "did you mean" not in unknown
    assert "fuzzy" in fuzzy
    assert f'its msgid_plural is "{TRIES[1]}"' in plural
    assert team.over(OURS, found.texts)["en"].gettext("Saved.") == "Saved."


def test_folders_that_are_wrong(tmp_path: Path) -> None:
    """Hidden folders and files beside those of the languages are fine."""
    for folder in (tmp_path / "none", Path("\0")):
        assert "no such folder" in team.read(folder, OURS).problems[0]
    assert "languages of ours (en, ru)" in team.read(tmp_path, OURS).problems[0]
    (tmp_path / "ru").mkdir()
    (tmp_path / ".git").mkdir()
    (tmp_path / "README").touch()
    (line,) = team.read(tmp_path, OURS).problems
    assert line.startswith("ru/LC_MESSAGES/referral.po: there is no such file")
    (tmp_path / "xx").mkdir()
    assert "not xx" in team.read(tmp_path, OURS).problems[0]


def test_a_file_in_another_encoding(tmp_path: Path) -> None:
    file = written(tmp_path, "") / "en" / "LC_MESSAGES" / "referral.po"
    file.write_bytes(entry("Saved.", "ü").encode("latin-1"))
    assert "UTF-8" in team.read(tmp_path, OURS).problems[0]


@given(st.text())
def test_any_file_is_parsed_or_refused(text: str) -> None:
    try:
        entries = po.parse(text)
    except ValueError as error:
        assert str(error).startswith("line ")  # noqa: PT017 - also no error is right
    else:
        assert all(each.msgid and each.forms for each in entries)


# Texts in HTML


@given(st.text())
def test_plain_text_stays_plain(text: str) -> None:
    """A text without placeholders is shown as it is; templates format every text."""
    source = Source("Saved.")
    assert rules.as_plain(source, text) == text
    if not rules.placeholders(text, has_braces=False):
        assert rules.as_html(source, text) % {} == escape(text)


@given(st.lists(st.sampled_from(["<", ">", '"', "'", "&", "a", "%", "{", "}", "/", " ", "<a>"])))
def test_only_our_tags_are_html(parts: list[str]) -> None:
    source = Source('See <a href="%(url)s">this</a>')
    own = "".join(parts)
    text = f'{own}<a href="%(url)s">{own}</a>{own}'
    if list(rules.faults(source, [text], i18n.PREPARED["en"])):
        return
    shown = rules.as_html(source, text) % {"url": "U"}
    assert shown == f'{escape(own)}<a href="U">{escape(own)}</a>{escape(own)}'


@given(st.text(alphabet="{}%ab()s"))
def test_braces_of_a_message_are_plain(own: str) -> None:
    source = Source("{code} for {app}")
    if not rules.placeholders(own, has_braces=True):
        text = rules.as_plain(source, f"{own}{{code}}{own}{{app}}")
        assert text.format(code="{app}", app="A") == f"{own}{{app}}{own}A"
