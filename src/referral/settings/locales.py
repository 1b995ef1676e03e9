"""The team's own catalogues, and what only settings can tell about their messages."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from referral import i18n
from referral.core import sms
from referral.core.challenge import MAX_CODE_LENGTH
from referral.i18n import Language, Languages, team
from referral.messaging import messages
from referral.settings.reader import Reader

_VARIABLE = "REFERRAL_LOCALES"


@dataclass(frozen=True, slots=True)
class Locales:
    """The languages with the team's texts over ours.

    texts: how many the team has that are used, by tag. ignored: how many are not. warnings: lines
    about texts that are ignored, or costly.
    """

    languages: Languages = field(compare=False)
    texts: tuple[tuple[str, int], ...] = ()
    ignored: int = 0
    warnings: tuple[str, ...] = ()


def read(reader: Reader, *, app_name: str, public_url: str) -> Locales:
    """Read the folder of catalogues, and check each text in it."""
    ours = i18n.ours()
    folder = reader.read(_VARIABLE, Path, None)
    if folder is None:
        return Locales(ours)
    found = team.read(folder, ours)
    problems, warnings = list(found.problems), list(found.warnings)
    languages = team.over(ours, found.texts)
    domain = urlsplit(public_url).hostname or ""
    for tag, texts in found.texts.items():
        own = {source.msgid for source in texts}
        for msgid in own.intersection(messages.TEXTS):
            where = f'{tag}: "{msgid}"'
            text = languages[tag].gettext(msgid)
            if "@" in text or "#" in text:
                # Browsers and phones look for the code after these (WebOTP)
                problems.append(f"{where} has @ or #, which belong to the line of ours under it")
            warnings += [
                f"{where} {warning}"
                for warning in _costly(languages[tag], ours[tag], msgid, app_name, domain)
            ]
    reader.problems += [f"{_VARIABLE}: {problem}" for problem in problems]
    counts = tuple((tag, len(texts)) for tag, texts in found.texts.items() if texts)
    return Locales(languages, counts, len(found.warnings), tuple(warnings))


def _costly(
    theirs: Language, ours: Language, msgid: str, app_name: str, domain: str
) -> Iterator[str]:
    """Yield a warning if a message takes more SMS than ours in its language."""

    def count(language: Language) -> int:
        digits = MAX_CODE_LENGTH * "0"
        words = language.gettext(msgid)
        return sms.segments(messages.text(words, app_name=app_name, domain=domain, code=digits))

    if count(theirs) > count(ours):
        yield f"takes {count(theirs)} SMS, and ours {count(ours)}: write less, or other letters"
