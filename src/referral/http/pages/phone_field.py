"""The phone field of a form: the rules to parse its text, and the example beside it."""

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
    """Return the rules for a phone typed in this browser.

    A phone without a country code belongs to the default region if one is set, otherwise to the
    region of the language: the one chosen on these pages, then those of the browser.
    """
    if ctx.phone_rules.default_region is not None:
        return ctx.phone_rules
    chosen = cookies.get(request, cookies.LANGUAGE) or ""
    languages = [chosen, *request.headers.getall("accept-language", [])]
    return replace(ctx.phone_rules, default_region=browser_region.parse(",".join(languages)))


def parse(request: Request[Any, Any, Any], ctx: Context, text: str) -> str:
    """Return the typed phone in E.164. Raises InvalidPhone or UnsupportedPhone."""
    return phones.parse(text, rules(request, ctx))


def example(request: Request[Any, Any, Any], ctx: Context) -> str:
    """Return an example of a phone that gets codes, written as it may be typed in this browser."""
    return phones.example(rules(request, ctx))
