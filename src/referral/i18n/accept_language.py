"""Read the header Accept-Language (RFC 9110, section 12.5.4)."""

from __future__ import annotations

import re

# Browsers send under a hundred characters
_MAX_LENGTH = 1000
# Some clients send the name of a locale, such as ru_RU.UTF-8
_ITEM = re.compile(
    r"\s*([a-z]{1,8}(?:[-_][a-z0-9]{1,8})*|\*)(?:[.@][a-z0-9_.@-]*)?\s*"
    r"(?:;\s*q=([01](?:\.[0-9]{0,3})?)\s*)?",
    re.IGNORECASE,
)


def parse(header: str) -> list[tuple[float, str]]:
    """Return weights and language ranges (RFC 4647, section 2.1), the most preferred first.

    Ranges are in lower case with hyphens: `pt-br`. A weight of 0 refuses its range. Items that
    are malformed, and those beyond 1,000 characters, are left out.
    """
    items = filter(None, map(_ITEM.fullmatch, header[:_MAX_LENGTH].split(",")))
    wanted = [(float(item[2] or 1), item[1].lower().replace("_", "-")) for item in items]
    # sorted() is stable: equal weights stay in the order of the header
    return sorted(wanted, key=lambda pair: -pair[0])
