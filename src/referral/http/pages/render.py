"""Render pages from templates."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from functools import cache, partial
from hashlib import sha256
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from litestar import MediaType, Request, Response
from litestar.status_codes import HTTP_200_OK
from markupsafe import Markup, escape

from referral import i18n
from referral.core import phone_display
from referral.http.pages import cookies, dates, flash, forms, site, static, texts
from referral.http.pages.flash import Flash

_FOLDER = Path(__file__).parent
_LOCALES = "pages_locales"


def language(request: Request[Any, Any, Any]) -> str:
    """Return one of i18n.LANGUAGES: the one chosen on these pages, the app's or the browser's."""
    chosen = cookies.get(request, cookies.LANGUAGE)
    if chosen in i18n.LANGUAGES:
        return str(chosen)
    preferred = request.scope["state"].get(_LOCALES, ())
    return i18n.choose(",".join([*preferred, *request.headers.getall("accept-language", [])]))


def prefer_locales(request: Request[Any, Any, Any], locales: Sequence[str]) -> None:
    """Prefer these languages to the browser's, unless a person has chosen one on these pages."""
    request.scope["state"][_LOCALES] = locales


def page(
    request: Request[Any, Any, Any], template: str, *, status: int = HTTP_200_OK, **context: Any
) -> Response[str]:
    """Render a page, with the flash message for it if there is one."""
    lang = language(request)
    message = flash.take(request)
    html = (
        _environment(lang)
        .get_template(template)
        .render(
            site=site.of(request.app.state),
            path=forms.page_of(request),
            language=lang,
            notice=_notice(message, lang),
            is_done=message is not None and message.code not in texts.PROMPTS,
            forms=_Forms(message, lang),
            css=_css(),
            asset=static.url,
            **context,
        )
    )
    return Response(
        html,
        status_code=status,
        media_type=MediaType.HTML,
        headers={
            "Content-Security-Policy": _policy(),
            "Referrer-Policy": "same-origin",
            "Cross-Origin-Opener-Policy": "same-origin",
            "Content-Language": lang,
            "Vary": "Accept-Language, Cookie",
        },
    )


def _notice(message: Flash | None, language: str) -> str:
    """Return the text above the content. A refused form has its text beside the field instead."""
    if message is None or (message.form and message.code not in texts.PROMPTS):
        return ""
    text = texts.notice(message.code, language=language)
    if not message.values or message.form:
        return text
    return escape(text) % {name: _isolated(value) for name, value in message.values.items()}


class _Forms:
    """The text that was typed into a page's forms, and why it was refused."""

    def __init__(self, message: Flash | None, language: str) -> None:
        self._message = message if message and message.form else None
        self._language = language

    def error(self, form: str, field: str) -> str:
        """Return why this field was refused; empty if it was not."""
        message = self._message
        if (
            message is None
            or (message.form, message.field) != (form, field)
            or message.code in texts.PROMPTS
        ):
            return ""
        return texts.refusal(
            message.code,
            language=self._language,
            seconds=message.seconds,
            attempts_left=message.attempts_left,
            country=message.country,
        )

    def needs_new_code(self, form: str) -> bool:
        """Return whether nothing typed into this form can be right any more."""
        message = self._message
        return (
            message is not None
            and message.form == form
            and (message.code in texts.NEEDS_NEW_CODE or message.attempts_left == 0)
        )

    def value(self, form: str, field: str, default: str | None = "") -> str:
        """Return what was typed into this field, otherwise the default."""
        if self._message is None or self._message.form != form:
            return default or ""
        return self._message.values.get(field, default or "")

    def is_about(self, form: str, field: str) -> bool:
        """Return whether this field was refused, or has text that was typed before."""
        message = self._message
        return (
            message is not None
            and message.form == form
            and field in {message.field, *message.values}
        )


@cache
def _environment(language: str) -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_FOLDER / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        extensions=["jinja2.ext.i18n"],
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.install_gettext_translations(i18n.catalogue(language), newstyle=True)  # type: ignore[attr-defined]  # the extension adds it
    environment.globals["languages"] = i18n.NAMES
    environment.filters["phone"] = _phone
    environment.filters["spelt"] = phone_display.format_phone
    environment.filters["isolated"] = _isolated
    environment.filters["day"] = partial(dates.day, language=language)
    environment.filters["minute"] = partial(dates.minute, language=language)
    environment.filters["number"] = texts.number
    environment.filters["signed"] = texts.signed
    return environment


@cache
def _css() -> Markup:
    # Our own file, inlined so that the browser can draw the page after one round trip
    return Markup((_FOLDER / "pages.css").read_text())  # noqa: S704


@cache
def _policy() -> str:
    """Return the CSP (level 3): only files of this origin, and the style sheet by its digest."""
    digest = b64encode(sha256(_css().encode()).digest()).decode()
    return (
        f"default-src 'none'; script-src 'self'; style-src 'sha256-{digest}'; img-src 'self'; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )


def _isolated(text: object) -> Markup:
    """Isolate text of unknown direction, so that it does not reorder its neighbours."""
    return Markup("<bdi>{}</bdi>").format(text)


def _phone(e164: str) -> Markup:
    """Format a phone as its country does, always from left to right."""
    return Markup('<bdi dir="ltr">{}</bdi>').format(phone_display.format_phone(e164))
