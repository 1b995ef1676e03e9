"""Times in words: how long ago something happened."""

from __future__ import annotations

from datetime import UTC, datetime

from markupsafe import Markup

from referral.http.pages import dates
from referral.i18n import Language

_MINUTE, _HOUR, _DAY = 60, 3600, 86_400  # seconds
_MONTH, _YEAR = 30, 365  # days


def ago(moment: datetime, now: datetime, *, language: Language) -> Markup:
    """Format as a <time> element, `3 days ago`, whose title is the day."""
    day = dates.day(moment, language=language)
    seconds = int((now - moment).total_seconds())
    return Markup('<time datetime="{}" title="{}">{}</time>').format(
        moment.astimezone(UTC).date().isoformat(), day.striptags(), _words(seconds, language)
    )


def _words(seconds: int, language: Language) -> str:
    ngettext, days = language.ngettext, seconds // _DAY
    if seconds < _MINUTE:
        return language.gettext("just now")
    if seconds < _HOUR:
        num = seconds // _MINUTE
        words = ngettext("%(num)d minute ago", "%(num)d minutes ago", num)
    elif seconds < _DAY:
        num = seconds // _HOUR
        words = ngettext("%(num)d hour ago", "%(num)d hours ago", num)
    elif days < _MONTH:
        num = days
        words = ngettext("%(num)d day ago", "%(num)d days ago", num)
    elif days < _YEAR:
        num = days // _MONTH
        words = ngettext("%(num)d month ago", "%(num)d months ago", num)
    else:
        num = days // _YEAR
        words = ngettext("%(num)d year ago", "%(num)d years ago", num)
    return words % {"num": num}
