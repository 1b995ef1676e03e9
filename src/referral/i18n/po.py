"""Read catalogues as people write them (.po), and compile them as `gettext` reads them (.mo)."""

from __future__ import annotations

import gettext
import re
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from io import BytesIO

_LINE = re.compile(r'(?:(msgid|msgid_plural|msgstr)(?:\[([0-9])\])?\s+)?"((?:[^"\\]|\\.)*)"')
_ESCAPED = re.compile(r"\\(.)")
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", '"': '"', "\\": "\\"}
_MAGIC = 0x950412DE
_HEAD_BYTES = 28


@dataclass(slots=True)
class Entry:
    """A text and its translations. forms: one, or one for each plural form, by its number.

    line: on which it begins. is_fuzzy: marked as a guess that a translator has not looked at yet.
    """

    line: int
    is_fuzzy: bool = False
    msgid: str | None = None
    plural: str | None = None
    forms: dict[int, str] = field(default_factory=dict)

    @property
    def is_translated(self) -> bool:
        return not self.is_fuzzy and any(self.forms.values())


def parse(text: str) -> list[Entry]:
    """Parse a catalogue, without its header. Raises ValueError with the number of a wrong line."""
    entries: list[Entry] = []
    entry = Entry(1)
    part, form = "", 0
    for number, raw in enumerate(text.removeprefix("\ufeff").splitlines(), 1):
        line = raw.strip()
        starts = line.startswith(("#", "msgid ", "msgid\t", 'msgid"')) or not line
        if starts and entry.forms:
            entries.append(entry)
            entry, part = Entry(number), ""
        if not line or line.startswith("#"):
            entry.is_fuzzy |= line.startswith("#,") and "fuzzy" in line
            continue
        found = _LINE.fullmatch(line)
        if found is None or not (found[1] or part):
            raise ValueError(f'line {number}: write msgid "..." and msgstr "..."')
        if found[1]:
            part, form = found[1], int(found[2] or 0)
            entry.line = number if part == "msgid" else entry.line
        _append(entry, part, form, _unescape(found[3]))
    if entry.forms:
        entries.append(entry)
    elif entry.msgid is not None:
        raise ValueError(f"line {entry.line}: a msgid without msgstr")
    return [each for each in entries if each.msgid]


def _append(entry: Entry, part: str, form: int, text: str) -> None:
    if part == "msgid":
        entry.msgid = (entry.msgid or "") + text
    elif part == "msgid_plural":
        entry.plural = (entry.plural or "") + text
    else:
        entry.forms[form] = entry.forms.get(form, "") + text


def _unescape(text: str) -> str:
    return _ESCAPED.sub(lambda found: _ESCAPES.get(found[1], found[1]), text)


def compiled(
    texts: Mapping[tuple[str, str | None], Iterable[str]], *, plural_forms: str
) -> gettext.GNUTranslations:
    """Compile translations, by text and its plural (None if it has none).

    The format: https://www.gnu.org/software/gettext/manual/html_node/MO-Files.html
    """
    header = f"Content-Type: text/plain; charset=UTF-8\nPlural-Forms: {plural_forms}\n"
    pairs = {
        (msgid if plural is None else f"{msgid}\0{plural}").encode(): "\0".join(forms).encode()
        for (msgid, plural), forms in texts.items()
    }
    ordered = sorted({b"": header.encode(), **pairs}.items())
    data, spans = b"", [b"", b""]
    offset = _HEAD_BYTES + 16 * len(ordered)
    for column in (0, 1):
        for pair in ordered:
            spans[column] += struct.pack("<2I", len(pair[column]), offset + len(data))
            data += pair[column] + b"\0"
    second = _HEAD_BYTES + 8 * len(ordered)
    head = struct.pack("<7I", _MAGIC, 0, len(ordered), _HEAD_BYTES, second, 0, 0)
    return gettext.GNUTranslations(BytesIO(head + spans[0] + spans[1] + data))
