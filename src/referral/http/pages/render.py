"""Templates to answers."""

from __future__ import annotations

from base64 import b64encode
from functools import cache, partial
from hashlib import sha256
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from litestar import MediaType, Request, Response
from litestar.status_codes import HTTP_200_OK
from markupsafe import Markup

from referral import i18n
from referral.core import phone_display
from referral.http.pages import cookies, dates, flash, forms, site, static, texts
from referral.http.pages.flash import Flash

_FOLDER = Path(__file__).parent


def language(request: Request[Any, Any, Any]) -> str:
    """The one that was chosen here, else the browser's; one of i18n.LANGUAGES."""
    chosen = cookies.get(request, cookies.LANGUAGE)
    if chosen in i18n.LANGUAGES:
        return str(chosen)
    return i18n.choose(",".join(request.headers.getall("accept-language", [])))


def page(
    request: Request[Any, Any, Any], template: str, *, status: int = HTTP_200_OK, **context: Any
) -> Response[str]:
    """A page, with what the last form had to say on it."""
    spoken = language(request)
    said = flash.take(request)
    html = (
        _environment(spoken)
        .get_template(template)
        .render(
            site=site.of(request.app.state),
            path=forms.page_of(request),
            language=spoken,
            notice=_notice(said, spoken),
            is_done=said is not None and said.code not in texts.TO_DO,
            said=_Said(said, spoken),
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
            "Content-Language": spoken,
            "Vary": "Accept-Language, Cookie",
        },
    )


def _notice(said: Flash | None, language: str) -> str:
    """What stands above the content. What is wrong with a form stands beside its fields."""
    if said is None or (said.form and said.code not in texts.TO_DO):
        return ""
    return texts.notice(said.code, language=language)


class _Said:
    """What is wrong with a form's fields, and what was typed into them."""

    def __init__(self, said: Flash | None, language: str) -> None:
        self._said = said if said and said.form else None
        self._language = language

    def error(self, form: str, field: str) -> str:
        """Empty where nothing is wrong with it."""
        said = self._said
        if said is None or (said.form, said.field) != (form, field) or said.code in texts.TO_DO:
            return ""
        return texts.refusal(
            said.code,
            language=self._language,
            seconds=said.seconds,
            attempts_left=said.attempts_left,
            country=said.country,
        )

    def is_over(self, form: str) -> bool:
        """Whether nothing typed into this form can be right any more."""
        said = self._said
        return (
            said is not None
            and said.form == form
            and (said.code in texts.OVER or said.attempts_left == 0)
        )

    def value(self, form: str, field: str, otherwise: str | None = "") -> str:
        if self._said is None or self._said.form != form:
            return otherwise or ""
        return self._said.values.get(field, otherwise or "")

    def is_about(self, form: str, field: str) -> bool:
        """Whether something was typed into this field, or it is what was to be done."""
        said = self._said
        return said is not None and said.form == form and field in {said.field, *said.values}


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
    environment.filters["phone"] = _phone
    environment.filters["spelt"] = phone_display.format_phone
    environment.filters["isolated"] = _isolated
    environment.filters["day"] = partial(dates.day, language=language)
    environment.filters["minute"] = partial(dates.minute, language=language)
    environment.filters["number"] = texts.number
    return environment


@cache
def _css() -> Markup:
    # Ours: in the page itself, so that it is drawn after one round trip
    return Markup((_FOLDER / "pages.css").read_text())  # noqa: S704


@cache
def _policy() -> str:
    """What a page may load (CSP level 3): our own, and the one style sheet by its digest."""
    digest = b64encode(sha256(_css().encode()).digest()).decode()
    return (
        f"default-src 'none'; script-src 'self'; style-src 'sha256-{digest}'; img-src 'self'; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )


def path(request: Request[Any, Any, Any]) -> str:
    """The address that was asked for, without the origin."""
    query = request.scope["query_string"].decode("ascii", "replace")
    return request.scope["path"] + (f"?{query}" if query else "")


def _isolated(text: object) -> Markup:
    """Keep somebody's words, which may run from right to left, from reordering their neighbours."""
    return Markup("<bdi>{}</bdi>").format(text)


def _phone(e164: str) -> Markup:
    """Write a phone as its country does, from left to right among any words."""
    return Markup('<bdi dir="ltr">{}</bdi>').format(phone_display.format_phone(e164))
