"""Choosing the language of the pages."""

from __future__ import annotations

from litestar import post
from litestar.response import Redirect

from referral.http.pages import cookies, flash, forms, site
from referral.http.requests import StrictRequest

_YEAR = 31_536_000  # seconds
_LONGEST_PATH = 16_384  # characters: the URL of a page may carry the request of an app


@post("/language", opt=forms.on("/", "language"), include_in_schema=False)
async def choose(request: StrictRequest) -> Redirect:
    fields = await forms.read(request)
    if language := site.of(request.app.state).languages.get(fields.get("language")):
        cookies.put(request, cookies.LANGUAGE, language.tag, seconds=_YEAR)
    return flash.redirect(forms.local_path(fields.get("next"), longest=_LONGEST_PATH) or "/")
