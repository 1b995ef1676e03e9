"""A team's own catalogues, whose texts replace ours one by one.

They are plain text: nothing in them becomes HTML, except for the tags of our own text, letter for
letter. A text that we do not have is ignored with a warning, so that no upgrade stops the service.
"""

from __future__ import annotations

import gettext
from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path

from referral import i18n
from referral.i18n import Language, Languages, po, rules
from referral.i18n.rules import Source

_LONGEST_QUOTE = 60  # characters
_MOST_NAMES = 3


@dataclass(slots=True)
class Catalogues:
    """What a folder has. problems: lines that stop the start. warnings: a line for the log about
    each text that is ignored.
    """

    texts: dict[str, dict[Source, list[str]]] = field(default_factory=dict)
    """By the tag of the language."""
    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def read(folder: Path, languages: Languages) -> Catalogues:
    """Read `LANGUAGE/LC_MESSAGES/referral.po` of each language in a folder."""
    found = Catalogues()
    try:
        folders = sorted(
            each for each in folder.iterdir() if each.is_dir() and not each.name.startswith(".")
        )
    except (OSError, ValueError):
        found.problems.append("there is no such folder, or it cannot be read")
        return found
    by_folder = {each.locale.folder.lower(): each for each in languages}
    by_name = {each: by_folder.get(each.name.replace("-", "_").lower()) for each in folders}
    unknown = [each.name for each, language in by_name.items() if language is None]
    if unknown or not folders:
        names = ", ".join(each.locale.folder for each in languages)
        instead = f", not {', '.join(unknown[:_MOST_NAMES])}" if unknown else ""
        found.problems.append(f"its folders are named after languages of ours ({names}){instead}")
        return found
    sources = {source.msgid: source for source in source_texts()}
    for each, language in by_name.items():
        file = each / "LC_MESSAGES" / f"{i18n.DOMAIN}.po"
        if language is None or language.tag in found.texts:
            found.problems.append(f"{each.name}: there are two folders of this language")
        else:
            found.texts[language.tag] = _read_file(file, language, sources, found)
    return found


def source_texts() -> list[Source]:
    """Return all texts of ours, in English."""
    text = _file(i18n.PREPARED[i18n.DEFAULT].folder).read_text(encoding="utf-8")
    return [Source(entry.msgid or "", entry.plural) for entry in po.parse(text)]


def _file(folder: str) -> Path:
    return i18n.LOCALES / folder / "LC_MESSAGES" / f"{i18n.DOMAIN}.po"


def _read_file(
    file: Path, language: Language, sources: Mapping[str, Source], found: Catalogues
) -> dict[Source, list[str]]:
    name = "/".join(file.parts[-3:])
    try:
        entries = po.parse(file.read_text(encoding="utf-8"))
    except UnicodeDecodeError:
        found.problems.append(f"{name}: save the file as UTF-8")
        return {}
    except ValueError as error:
        found.problems.append(f"{name}: {error}")
        return {}
    except OSError:
        found.problems.append(f"{name}: there is no such file, or it cannot be read")
        return {}
    texts: dict[Source, list[str]] = {}
    for entry in entries:
        where = f'{name}, line {entry.line}: "{_shortened(entry.msgid or "")}"'
        source = sources.get(entry.msgid or "")
        if not entry.is_translated:
            if entry.is_fuzzy:
                found.warnings.append(f"{where} is marked fuzzy, and ignored")
        elif source is None or source.plural != entry.plural:
            found.warnings.append(
                f"{where} is no text of ours, and ignored{_nearest(entry, sources)}"
            )
        elif source in texts:
            found.problems.append(f"{where} is there twice: remove one")
        else:
            forms = [entry.forms[number] for number in sorted(entry.forms)]
            if sorted(entry.forms) != list(range(len(forms))):
                forms = []
            faults = list(rules.faults(source, forms, language.locale))
            found.problems += [f"{where} {fault}" for fault in faults]
            texts[source] = forms if not faults else []
    return {source: forms for source, forms in texts.items() if forms}


def _nearest(entry: po.Entry, sources: Mapping[str, Source]) -> str:
    msgid = entry.msgid or ""
    if msgid in sources:
        plural = sources[msgid].plural
        return f': its msgid_plural is "{plural}"' if plural else ": it has no msgid_plural"
    nearest = get_close_matches(msgid, sources, n=1)
    return f': did you mean "{nearest[0]}"?' if nearest else ""


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST_QUOTE else f"{text[:_LONGEST_QUOTE]}..."


def over(languages: Languages, texts: Mapping[str, Mapping[Source, list[str]]]) -> Languages:
    """Return the languages with a team's texts over ours."""
    return Languages({each.tag: _over(each, texts.get(each.tag, {})) for each in languages})


def _over(language: Language, texts: Mapping[Source, list[str]]) -> Language:
    if not texts:
        return language
    views = []
    for view, ours in ((rules.as_plain, language.plain), (rules.as_html, language.html)):
        translations: gettext.NullTranslations = po.compiled(
            {
                (source.msgid, source.plural): [view(source, form) for form in forms]
                for source, forms in texts.items()
            },
            plural_forms=language.locale.plural_forms,
        )
        translations.add_fallback(ours)
        views.append(translations)
    return Language(language.locale, *views)
