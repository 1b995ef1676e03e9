"""Reward rules: list, make, change, delete."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, cast

from litestar import Response, get, post
from litestar.params import FromPath
from litestar.response import Redirect

from referral.core.errors import InvalidRequest, NotFound
from referral.http import problems
from referral.http.pages import flash, forms, render
from referral.http.pages.admin import reasons
from referral.http.pages.texts import N_
from referral.http.requests import AdminRequest, context
from referral.rewards import rule_book
from referral.rewards.rule_fields import Milestone, RuleFields, RuleView

PATH = "/admin/rules"

_PAGE = f"{PATH}/{{name}}"
_CHANGEABLE = (
    *("amount", "min_value", "cap_per_month", "cap_total"),
    *("hold_days", "review", "from", "until"),
)
_FIELDS = ("name", "trigger", "beneficiary", "unit", "occurs", "invitees", *_CHANGEABLE)
_NUMBERED = ("at", "each")
_MAX_DIGITS = 19
_BENEFICIARIES = [("inviter", N_("the inviter")), ("invitee", N_("the invitee"))]
_OCCURS = [
    ("every", N_("for every event")),
    ("first", N_("once for each invitee")),
    ("at", N_("once, at this number of invitees")),
    ("each", N_("each time that this number of invitees is full")),
]
_REVIEWS = [
    ("none", N_("about none")),
    ("flagged", N_("about flagged ones")),
    ("all", N_("about all")),
]


@get("/rules", include_in_schema=False)
async def list_rules(request: AdminRequest) -> Response[str]:
    return render.page(
        request,
        "admin/rules.html",
        rules=(await rule_book.list_all()).items,
        beneficiaries=_BENEFICIARIES,
        occurs=_OCCURS,
        reviews=_REVIEWS,
    )


@get("/rules/{name:str}", include_in_schema=False)
async def show_rule(request: AdminRequest, name: FromPath[str]) -> Response[str]:
    """Show a rule in force. Raises NotFound."""
    rule = await _find(name)
    return render.page(
        request,
        "admin/rule.html",
        rule=rule,
        reviews=_REVIEWS,
        starts=_minute(rule.starts),
        ends=_minute(rule.ends),
    )


@post("/rules", opt=forms.on(PATH, "rule", *_FIELDS), include_in_schema=False)
async def make(request: AdminRequest) -> Redirect:
    """Make a rule. The name of a rule in force is refused: that would change it."""
    typed = await forms.read(request)
    name = typed.get("name", "")
    try:
        if any(each.name == name for each in (await rule_book.list_all()).items):
            raise InvalidRequest.field("name", "There is a rule with this name.")
        fields = _parse(typed, fixed=_fixed(typed), current=None)
        await rule_book.put(context(request), name, fields, by=request.user)
    except InvalidRequest as refusal:
        return _refused(request, PATH, refusal, typed, _FIELDS)
    return flash.notice(request, PATH, "rule_made")


@post("/rules/{name:str}", opt=forms.on(_PAGE, "rule", *_CHANGEABLE), include_in_schema=False)
async def change(request: AdminRequest, name: FromPath[str]) -> Redirect:
    """Make a new version of a rule in force. Raises NotFound."""
    typed = await forms.read(request)
    rule = await _find(name)
    fixed = {
        "trigger": rule.trigger,
        "beneficiary": rule.beneficiary,
        "unit": rule.unit,
        "occurs": rule.occurs,
    }
    try:
        fields = _parse(typed, fixed=fixed, current=rule)
        await rule_book.put(context(request), name, fields, by=request.user)
    except InvalidRequest as refusal:
        return _refused(request, forms.page_of(request), refusal, typed, _CHANGEABLE)
    return flash.notice(request, PATH, "rule_changed")


@post(
    "/rules/{name:str}/delete",
    opt=forms.on(PATH, "delete_rule", reasons.FIELD),
    include_in_schema=False,
)
async def delete(request: AdminRequest, name: FromPath[str]) -> Redirect:
    try:
        await rule_book.delete(context(request), name, by=reasons.actor(request))
    except NotFound as refusal:
        # Another request deleted it first
        problems.log_refusal(request, refusal)
    return flash.notice(request, PATH, "rule_deleted")


HANDLERS = [list_rules, show_rule, make, change, delete]


async def _find(name: str) -> RuleView:
    for rule in (await rule_book.list_all()).items:
        if rule.name == name:
            return rule
    raise NotFound(reason="no such rule")


def _refused(
    request: AdminRequest,
    page: str,
    refusal: InvalidRequest,
    typed: Mapping[str, str],
    names: tuple[str, ...],
) -> Redirect:
    """Redirect back to the form, with everything that was typed."""
    field = refusal.members["errors"][0]["field"] if "errors" in refusal.members else ""
    return flash.refused(
        request,
        page,
        refusal,
        form="rule",
        field=field,
        values={name: typed[name] for name in names if name in typed},
        code=f"invalid_rule_{field}",
    )


def _fixed(typed: Mapping[str, str]) -> dict[str, Any]:
    """Return the fields of a form that never change. Raises InvalidRequest."""
    occurs: str | Milestone = typed.get("occurs") or "every"
    if occurs in _NUMBERED:
        occurs = Milestone(**{occurs: _number(typed, "invitees") or 0})
    beneficiary = typed.get("beneficiary", "")
    if beneficiary not in dict(_BENEFICIARIES):
        raise InvalidRequest.field("beneficiary", "Give inviter or invitee.")
    return {
        "trigger": typed.get("trigger", ""),
        "beneficiary": beneficiary,
        "unit": typed.get("unit", ""),
        "occurs": occurs,
    }


def _parse(
    typed: Mapping[str, str], *, fixed: Mapping[str, Any], current: RuleView | None
) -> RuleFields:
    """Parse a submitted form; an empty field has the API's default. Raises InvalidRequest.

    fixed: the fields that never change. current: the rule before the change.
    """
    review = typed.get("review") or "none"
    if review not in dict(_REVIEWS):
        raise InvalidRequest.field("review", "Give none, flagged or all.")
    return RuleFields(
        **fixed,
        amount=_number(typed, "amount") or 0,
        min_value=_number(typed, "min_value"),
        cap_per_month=_number(typed, "cap_per_month"),
        cap_total=_number(typed, "cap_total"),
        hold_days=_number(typed, "hold_days") or 0,
        review=cast("Any", review),
        starts=_time(typed, "from", current.starts if current else None),
        ends=_time(typed, "until", current.ends if current else None),
    )


def _number(typed: Mapping[str, str], field: str) -> int | None:
    """Parse a whole number, as people group its digits. Raises InvalidRequest."""
    text = "".join(typed.get(field, "").split())
    if not text:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) <= _MAX_DIGITS):
        raise InvalidRequest.field(field, "Give a whole number.")
    return int(text)


def _time(typed: Mapping[str, str], field: str, current: datetime | None) -> str | None:
    """Return the time that was typed, in UTC, as the API takes it.

    A field shows minutes only, so one that was not changed keeps the exact time.
    """
    text = typed.get(field, "")
    if current is not None and text == _minute(current):
        return current.isoformat()
    if text and text[-1] not in "Zz":
        return f"{text}Z" if text.count(":") > 1 else f"{text}:00Z"
    return text or None


def _minute(at: datetime | None) -> str:
    """Format a time as the value of a field for it."""
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M}" if at else ""
