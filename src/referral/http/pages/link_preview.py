"""What messengers show of an invite link: its picture, and a language that fits."""

from __future__ import annotations

from typing import Any

from litestar import Request

from referral.context import Context
from referral.http.pages import render, static
from referral.http.pages.site import Site

# The language to assume in a country, for programs that name none
_LANGUAGES = {
    "AE": "ar", "AR": "es", "AT": "de", "BR": "pt-BR", "BY": "ru", "CL": "es", "CO": "es",
    "DE": "de", "EC": "es", "EG": "ar", "ES": "es", "FR": "fr", "JO": "ar", "KG": "ru", "KW": "ar",
    "KZ": "kk", "MX": "es", "PE": "es", "QA": "ar", "RU": "ru", "SA": "ar", "TR": "tr", "UA": "uk",
    "UY": "es",
}  # fmt: skip
# As Open Graph spells languages (https://ogp.me/#optional)
_LOCALES = {
    "ar": "ar_AR", "de": "de_DE", "en": "en_US", "es": "es_ES", "fr": "fr_FR", "kk": "kk_KZ",
    "pt-BR": "pt_BR", "ru": "ru_RU", "tr": "tr_TR", "uk": "uk_UA",
}  # fmt: skip


def facts(shown: Site, language: str) -> dict[str, str]:
    """Return the address of the picture, and the language as Open Graph spells it."""
    return {
        "image": shown.public_url + static.image_url("preview", shown.preview_image),
        "locale": _LOCALES[language],
    }


def prefer_language(request: Request[Any, Any, Any], ctx: Context) -> None:
    """Choose a language for programs that name none, as those of messengers: the region's."""
    assumed = _LANGUAGES.get(ctx.phone_rules.default_region or "")
    if assumed and not request.headers.get("accept-language"):
        render.prefer_locales(request, [assumed])
