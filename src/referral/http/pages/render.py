"""Render pages from templates."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache, partial
from pathlib import Path
from types import CodeType
from typing import Any
from urllib.parse import unquote

from jinja2 import BytecodeCache, Environment, FileSystemLoader, StrictUndefined
from jinja2.bccache import Bucket
from litestar import MediaType, Request, Response
from litestar.status_codes import HTTP_200_OK
from markupsafe import Markup, escape

from referral.core import image, phone_display
from referral.http.pages import ago, appearance, cookies, dates, flash, forms, site, static, texts
from referral.http.pages.flash import Flash
from referral.i18n import Language

TEMPLATES = Path(__file__).parent / "templates"

_LOCALES = "pages_locales"
_AUTOFOCUS = re.compile(r" autofocus(?=[ >])")


def language(request: Request[Any, Any, Any]) -> Language:
    """Return the language of the page: the one chosen on pages, the app's or the browser's."""
    if preview := appearance.preview_of(request):
        return preview.language
    languages = site.of(request.app.state).languages
    if chosen := languages.get(cookies.get(request, cookies.LANGUAGE)):
        return chosen
    preferred = request.scope["state"].get(_LOCALES, ())
    return languages.choose(",".join([*preferred, *request.headers.getall("accept-language", [])]))


def prefer_locales(request: Request[Any, Any, Any], locales: Sequence[str]) -> None:
    """Prefer these languages to the browser's, unless a person has chosen one on these pages."""
    request.scope["state"][_LOCALES] = locales


def page(
    request: Request[Any, Any, Any],
    template: str,
    *,
    status: int = HTTP_200_OK,
    frames: bool = False,
    **context: Any,
) -> Response[str]:
    """Render a page, with the flash message for it if there is one.

    frames: whether it has frames with previews of other pages.
    """
    lang, team = language(request), site.of(request.app.state)
    preview = appearance.preview_of(request)
    colors = appearance.colors_of(preview)
    message = flash.take(request)
    context = {
        # Whether only support can help: pages that know it say so themselves
        "needs_support": message is not None and message.code in texts.NEEDS_SUPPORT,
        **context,
    }
    html = (
        _environment(lang)
        .get_template(template)
        .render(
            site=team,
            path=forms.page_of(request),
            language=lang.tag,
            direction=lang.direction,
            notice=_notice(message, lang),
            is_done=message is not None and message.code not in texts.PROMPTS,
            forms=_Forms(message, lang),
            css=appearance.css(team.palette, colors),
            colors=colors,
            is_preview=preview is not None,
            asset=static.url,
            **context,
        )
    )
    if preview:
        # Browsers complain about it in a frame where no script runs
        html = _AUTOFOCUS.sub("", html)
    return Response(
        html,
        status_code=status,
        media_type=MediaType.HTML,
        headers={
            **appearance.headers(team.palette, preview=preview, frames=frames),
            "Referrer-Policy": "same-origin",
            "Content-Language": lang.tag,
            "Vary": "Accept-Language, Cookie",
        },
    )


def _notice(message: Flash | None, language: Language) -> str:
    """Return the text above the content. A refused form has its text beside the field instead."""
    if message is None or (message.form and message.code not in texts.PROMPTS):
        return ""
    text = texts.notice(message.code, language=language)
    if not message.values or message.form:
        return text
    return escape(text) % {name: _isolated(value) for name, value in message.values.items()}


class _Forms:
    """The text that was typed into a page's forms, and why it was refused."""

    def __init__(self, message: Flash | None, language: Language) -> None:
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

    def focuses(self, form: str, field: str, is_default: bool = False) -> bool:  # noqa: FBT001, FBT002 - a macro's positional argument
        """Return whether the focus belongs in this field: the refused one, if there is one.

        is_default: whether the focus is in this field otherwise.
        """
        if self._message is None or self._message.code in texts.PROMPTS:
            return is_default
        return (self._message.form, self._message.field) == (form, field)

    def is_about(self, form: str, field: str) -> bool:
        """Return whether this field was refused, or has text that was typed before."""
        message = self._message
        return (
            message is not None
            and message.form == form
            and field in {message.field, *message.values}
        )

    def sent_to(self, url: str) -> Mapping[str, str] | None:
        """Return what was typed into the form with this URL; None if it was not sent."""
        message = self._message
        if message is None or message.action != unquote(url.partition("?")[0]):
            return None
        return message.values


class _CompiledTemplates(BytecodeCache):
    """Compiles each template once instead of once for each language."""

    def __init__(self) -> None:
        self._codes: dict[str, CodeType | None] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        bucket.code = self._codes.get(bucket.key)

    def dump_bytecode(self, bucket: Bucket) -> None:
        self._codes[bucket.key] = bucket.code


_compiled = _CompiledTemplates()


def new_environment(*folders: Path, **options: Any) -> Environment:
    """Return an environment with what every page needs, such as the team's logo.

    folders: of templates, the first one first. options: of Jinja.
    """
    environment = Environment(
        loader=FileSystemLoader(folders),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
        **options,
    )
    environment.globals["image_url"] = static.image_url
    environment.globals["logo_size"] = image.logo_size
    environment.globals["dark_condition"] = appearance.dark_condition
    environment.filters["isolated"] = _isolated
    return environment


# Of every language, and of those of some services in one process, as in tests
@lru_cache(maxsize=64)
def _environment(language: Language) -> Environment:
    environment = new_environment(
        TEMPLATES, extensions=["jinja2.ext.i18n"], bytecode_cache=_compiled
    )
    environment.install_gettext_translations(language.html, newstyle=True)  # type: ignore[attr-defined]  # the extension adds it
    environment.filters["contrast"] = texts.contrast
    environment.filters["phone"] = _phone
    environment.filters["spelt"] = phone_display.format_phone
    environment.filters["day"] = partial(dates.day, language=language)
    environment.filters["minute"] = partial(dates.minute, language=language)
    environment.filters["ago"] = partial(ago.ago, language=language)
    environment.filters["number"] = texts.number
    environment.filters["signed"] = _signed
    environment.filters["percent"] = texts.percent
    return environment


def _isolated(text: object) -> Markup:
    """Isolate text of unknown direction, so that it does not reorder its neighbours."""
    return Markup("<bdi>{}</bdi>").format(text)


def _phone(e164: str) -> Markup:
    """Format a phone as its country does, always from left to right."""
    return Markup('<bdi dir="ltr">{}</bdi>').format(phone_display.format_phone(e164))


def _signed(value: int) -> Markup:
    # From right to left, the sign would follow the number
    return Markup('<bdi dir="ltr">{}</bdi>').format(texts.signed(value))
