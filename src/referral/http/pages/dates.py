"""Dates and times for people, in UTC."""

from __future__ import annotations

from datetime import UTC, datetime

from markupsafe import Markup

from referral import i18n
from referral.http.pages.texts import N_

# One message per month, because some languages inflect its name
_DAYS = (
    N_("%(day)d January %(year)d"),
    N_("%(day)d February %(year)d"),
    N_("%(day)d March %(year)d"),
    N_("%(day)d April %(year)d"),
    N_("%(day)d May %(year)d"),
    N_("%(day)d June %(year)d"),
    N_("%(day)d July %(year)d"),
    N_("%(day)d August %(year)d"),
    N_("%(day)d September %(year)d"),
    N_("%(day)d October %(year)d"),
    N_("%(day)d November %(year)d"),
    N_("%(day)d December %(year)d"),
)
_TIME = Markup('<time datetime="{}">{}</time>')


def day(moment: datetime, *, language: str) -> Markup:
    """Format as a <time> element: `31 January 2026`."""
    at = moment.astimezone(UTC)
    return _TIME.format(at.date().isoformat(), _spell(at, language))


def minute(moment: datetime, *, language: str) -> Markup:
    """Format as a <time> element: `31 January 2026, 12:00 UTC`."""
    at = moment.astimezone(UTC)
    return _TIME.format(f"{at:%Y-%m-%dT%H:%MZ}", f"{_spell(at, language)}, {at:%H:%M} UTC")


def _spell(at: datetime, language: str) -> str:
    words = i18n.catalogue(language).gettext(_DAYS[at.month - 1])
    return words % {"day": at.day, "year": at.year}
