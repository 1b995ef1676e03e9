"""The script that writes the table with which pages format a phone, run by `make messages`.

The table has what mobile numbers of each calling code need of libphonenumber's metadata: all of it
would be ten times as large.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import phonenumbers
from phonenumbers import COUNTRY_CODE_TO_REGION_CODE, PhoneMetadata

from referral.http.pages import static

FILE = Path(static.__file__).with_name("static") / "phone_formats.js"

HEAD = (
    "// Written by tests/helpers/phone_formats.py (`make messages`) from phonenumbers "
    f"{phonenumbers.__version__}. phone.js explains it\n"
)
# Longer ones list area codes of fixed lines
_LONGEST_LEAD = 60
# Prefixes of this many digits tell the formats of mobile numbers apart
_PREFIX = 4
_REST = "2345678901234567"


def module() -> str:
    """Return the source of phone_formats.js."""
    codes = {code: each for code, each in COUNTRY_CODE_TO_REGION_CODE.items() if each[0] != "001"}
    formats = {code: _formats(regions) for code, regions in codes.items()}
    shared: dict[Any, str] = {code: each[0] for code, each in codes.items() if len(each) > 1}
    for regions in codes.values():
        shared |= {each: lead for each in regions[1:] if (lead := _region_lead(each))}
    return (
        f"{HEAD}const PHONE_FORMATS = {{\n{_lines(formats)}\n}};\n"
        f"const PHONE_REGIONS = {{\n{_lines(shared)}\n}};\n"
    )


def _formats(regions: tuple[str, ...]) -> str:
    """Return the national prefix and the formats of a calling code, separated by semicolons.

    Each format has the beginning of its numbers (a regular expression), its masks by length in the
    international form, and how the national one differs: its prefix with `$` for the first group,
    or its own masks. regions: those of the calling code. The metadata of the first has the formats
    of all.
    """
    main = _metadata(regions[0])
    masks: dict[int, dict[int, tuple[str, str]]] = {}
    international = main.intl_number_format or main.number_format
    for number in sorted({number for each in regions for number in _mobiles(each)}):
        index = _chosen(international, number)
        if index is not None:
            masks.setdefault(index, {})[len(number)] = (
                _mask(international[index], number, ""),
                _national_mask(main.number_format, number),
            )
    kept = [index for index in sorted(masks) if len(_lead(international[index])) <= _LONGEST_LEAD]
    parts = [main.national_prefix or ""]
    for index in kept:
        pairs = [pair for _, pair in sorted(masks[index].items())]
        parts += [
            _lead(international[index]),
            ",".join(own for own, _ in pairs),
            _difference(pairs),
        ]
    return ";".join(parts)


def _difference(pairs: list[tuple[str, str]]) -> str:
    """Return how the national masks differ from the international ones."""
    own, national = pairs[0]
    rule = national.replace(own[0], "$", 1) if national else "$"
    head = rule[: len(rule) - len(own) + 1]
    if all(head.replace("$", each[0]) + each[1:] == other for each, other in pairs):
        return "" if head == "$" else head
    return ",".join(other for _, other in pairs)


def _lines(table: dict[Any, str]) -> str:
    return ",\n".join(f"{key}:{json.dumps(text)}" for key, text in table.items())


def _mobiles(region: str) -> Iterator[str]:
    """Yield mobile numbers of the region: one for each prefix and length."""
    mobile = _metadata(region).mobile
    if mobile is None or not mobile.national_number_pattern:
        return
    pattern = re.compile(mobile.national_number_pattern)
    for length in mobile.possible_length:
        digits = min(_PREFIX, length)
        for prefix in range(10**digits):
            number = (str(prefix).zfill(digits) + _REST)[:length]
            if pattern.fullmatch(number):
                yield number


def _chosen(formats: list[Any], number: str) -> int | None:
    """Return the index of the format of a national number, as libphonenumber chooses it."""
    for index, each in enumerate(formats):
        if re.match(_lead(each), number) and re.fullmatch(each.pattern, number):
            return index
    return None


def _lead(chosen: Any) -> str:
    return chosen.leading_digits_pattern[-1] if chosen.leading_digits_pattern else ""


def _national_mask(formats: list[Any], number: str) -> str:
    index = _chosen(formats, number)
    if index is None:
        return ""
    return _mask(formats[index], number, formats[index].national_prefix_formatting_rule or "")


def _mask(chosen: Any, number: str, prefix_rule: str) -> str:
    r"""Return a format for numbers of this length, with a letter for each group: `8 (c) c-b-b`.

    a stands for one digit, b for two, and so on. prefix_rule: of the national form, `8 (\1)`.
    """
    template = chosen.format
    if prefix_rule:
        template = re.sub(r"(\\\d)", prefix_rule, template, count=1)
    groups = re.fullmatch(chosen.pattern, number)
    assert groups is not None
    return re.sub(r"\\(\d)", lambda each: chr(ord("a") + len(groups[int(each[1])]) - 1), template)


def _region_lead(region: str) -> str:
    """Return the beginning of the numbers of a region that is not the main one of its code."""
    metadata = _metadata(region)
    if metadata.leading_digits:
        return str(metadata.leading_digits)
    if region != "CA":
        return ""
    # Its area codes are all that tells Canada from the United States
    pattern = re.compile(metadata.mobile.national_number_pattern)
    areas = [area for area in map(str, range(200, 1000)) if pattern.fullmatch(f"{area}2345678")]
    by_first: dict[str, list[str]] = {}
    for area in areas:
        by_first.setdefault(area[0], []).append(area[1:])
    return "|".join(f"{first}(?:{'|'.join(rest)})" for first, rest in by_first.items())


def _metadata(region: str) -> Any:
    return PhoneMetadata.metadata_for_region(region)


if __name__ == "__main__":
    FILE.write_text(module(), encoding="utf-8")
