"""Dates and times for people, in UTC."""

from __future__ import annotations

from datetime import UTC, datetime

from markupsafe import Markup

from referral.i18n import N_, Language

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
_MINUTE = N_("%(day)s, %(time)s UTC")
_TIME = Markup('<time datetime="{}">{}</time>')


def day(moment: datetime, *, language: Language) -> Markup:
    """Format as a <time> element: `31 January 2026`."""
    at = moment.astimezone(UTC)
    return _TIME.format(at.date().isoformat(), _spell(at, language))


def minute(moment: datetime, *, language: Language) -> Markup:
    """Format as a <time> element: `31 January 2026, 12:00 UTC`."""
    at = moment.astimezone(UTC)
    text = language.gettext(_MINUTE) % {"day": _spell(at, language), "time": f"{at:%H:%M}"}
    return _TIME.format(f"{at:%Y-%m-%dT%H:%MZ}", text)


def _spell(at: datetime, language: Language) -> str:
    return language.gettext(_DAYS[at.month - 1]) % {"day": at.day, "year": at.year}
