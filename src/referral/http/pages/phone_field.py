"""The phone field of a form: the country, the number, and the rules to parse them.

The number is national to the chosen country, unless it has a country code of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from litestar import Request
from markupsafe import Markup

from referral.context import Context
from referral.core import browser_region, countries, phone_display, served_countries
from referral.core import phone as phones
from referral.core.errors import InvalidPhone, Refusal
from referral.core.phone import PhoneRules
from referral.http.pages import channel_buttons, cookies, pending_sign_in
from referral.i18n import accept_language
from referral.storage.models import User

PHONE, COUNTRY = "phone", "country"

# Left-to-right mark: without it, +7 after an Arabic name would be read 7+
_LRM = "\u200e"


@dataclass(frozen=True, slots=True, kw_only=True)
class PhoneField:
    """What a page needs to show the field.

    region: the one to preset, if any. number: what was typed before, in a tab that comes back from
    the page of the code.
    """

    rules: PhoneRules
    region: str | None
    number: str

    @property
    def only_region(self) -> str | None:
        """The served region, if there is one: nothing can be chosen then."""
        return _only_region(self.rules)

    def country(self, language: str) -> str:
        """Return the name of the only region."""
        return countries.name(self.only_region or "", language)

    def calling_code(self) -> str:
        """Return the calling code of the only region: `+7`."""
        return served_countries.calling_code(self.only_region or "")

    def chosen(self, typed: str, phone: str) -> str:
        """Return the region to select; empty if none can be told.

        typed: the one in the submitted form. phone: the text of the number.
        """
        if region := served_countries.region_of(phone, self.rules):
            return region
        served = served_countries.regions(self.rules)
        return next((each for each in (typed, self.region) if each in served), None) or ""

    def options(self, language: str, region: str) -> Markup:
        """Return the options of the select, one of them selected."""
        options = _options(self.rules, language)
        return Markup(options.replace(f"={region}>", f"={region} selected>", 1))  # noqa: S704 - ours


def of(request: Request[Any, Any, Any], ctx: Context, *, user: User | None = None) -> PhoneField:
    """Return the field for this browser.

    The preset region is that of the newest pending code, otherwise that of the user's phone,
    otherwise the default one, otherwise the one of the browser's language. user: the signed-in
    one, for a change of phone.
    """
    pending = pending_sign_in.find(request, user_id=str(user.id) if user else "")
    is_back = pending is not None and pending_sign_in.TAB in request.query_params
    known = pending or user
    region = served_countries.region_of(known.phone or "" if known else "", ctx.phone_rules)
    return PhoneField(
        rules=ctx.phone_rules,
        region=region or rules(request, ctx).default_region,
        number=phone_display.format_phone(pending.phone) if pending and is_back else "",
    )


def rules(request: Request[Any, Any, Any], ctx: Context) -> PhoneRules:
    """Return the rules for a phone typed in this browser where no country can be chosen.

    A phone without a country code belongs to the default region if one is set, otherwise to the
    region of the language: the one chosen on these pages, then those of the browser.
    """
    if ctx.phone_rules.default_region is not None:
        return ctx.phone_rules
    chosen = cookies.get(request, cookies.LANGUAGE) or ""
    languages = [chosen, *request.headers.getall("accept-language", [])]
    region = browser_region.choose(accept_language.parse(",".join(languages)))
    return replace(ctx.phone_rules, default_region=region)


def parse(request: Request[Any, Any, Any], ctx: Context, fields: Mapping[str, str]) -> str:
    """Return the typed phone in E.164. Raises InvalidPhone or UnsupportedPhone."""
    return phones.parse(fields.get(PHONE, ""), _rules_of(request, ctx, fields))


def refused(refusal: Refusal, fields: Mapping[str, str], ctx: Context) -> dict[str, Any]:
    """Return the arguments of flash.refused: the field, its message, and what was typed."""
    code, field = None, PHONE
    if isinstance(refusal, InvalidPhone):
        if fields.get(PHONE, "").startswith("+") or _only_region(ctx.phone_rules):
            code = "invalid_phone_digits"
        elif fields.get(COUNTRY):
            code = "invalid_national_phone"
        elif COUNTRY in fields:
            code, field = "invalid_country", COUNTRY
    values = {name: fields[name] for name in (PHONE, COUNTRY) if name in fields}
    values |= channel_buttons.after_failure(refusal, fields)
    return {"field": field, "code": code, "values": values}


def _rules_of(
    request: Request[Any, Any, Any], ctx: Context, fields: Mapping[str, str]
) -> PhoneRules:
    served = served_countries.regions(ctx.phone_rules)
    if COUNTRY not in fields:
        only = _only_region(ctx.phone_rules)
        return replace(ctx.phone_rules, default_region=only) if only else rules(request, ctx)
    region = fields[COUNTRY]
    return replace(ctx.phone_rules, default_region=region if region in served else None)


def _only_region(served: PhoneRules) -> str | None:
    regions = served_countries.regions(served)
    return next(iter(regions)) if len(regions) == 1 else None


@lru_cache(maxsize=64)
def _options(served: PhoneRules, language: str) -> str:
    return "\n".join(
        Markup("<option value={}>{} {}{}").format(
            region, name, _LRM, served_countries.calling_code(region)
        )
        for region, name in served_countries.in_order(served, language)
    )
