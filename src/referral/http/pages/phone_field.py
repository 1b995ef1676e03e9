"""The field for a phone: how what is typed into it is read, and the example beside it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from litestar import Request

from referral.context import Context
from referral.core import browser_region
from referral.core import phone as phones
from referral.core.phone import PhoneRules
from referral.http.pages import cookies


def rules(request: Request[Any, Any, Any], ctx: Context) -> PhoneRules:
    """Read a phone without a country's code as one of the default region, else of the browser's.

    The language that was chosen on these pages comes before the browser's own.
    """
    if ctx.phone_rules.default_region is not None:
        return ctx.phone_rules
    chosen = cookies.get(request, cookies.LANGUAGE) or ""
    languages = [chosen, *request.headers.getall("accept-language", [])]
    return replace(ctx.phone_rules, default_region=browser_region.parse(",".join(languages)))


def read(request: Request[Any, Any, Any], ctx: Context, text: str) -> str:
    """The E.164 of what was typed. Raises InvalidPhone, UnsupportedPhone."""
    return phones.parse(text, rules(request, ctx))


def example(request: Request[Any, Any, Any], ctx: Context) -> str:
    """A phone that is served, as it may be typed here."""
    return phones.example(rules(request, ctx))
