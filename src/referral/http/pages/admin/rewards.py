"""Rewards: the review queue, the entries of the ledger, and the decisions about them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Literal
from urllib.parse import urlencode

from litestar import Response, get, post
from litestar.params import FromPath, QueryParameter
from litestar.response import Redirect

from referral.core.errors import NotFound, ReviewConflict
from referral.core.reward_status import Review
from referral.http import problems
from referral.http.pages import flash, forms, render
from referral.http.pages.admin import reasons
from referral.http.pages.texts import N_
from referral.http.requests import AdminRequest, context
from referral.rewards import entry_lists, review
from referral.rewards.entries import EntryView
from referral.service import users

PATH = "/admin/rewards"

_PAGE_SIZE = 30
_ALL = "all"
_QUEUE = "in_review"
_STATUSES: Mapping[str, str] = {
    "in_review": N_("wait for a decision"),
    "pending": N_("on hold"),
    "available": N_("available"),
    "redeemed": N_("redeemed"),
    "rejected": N_("rejected"),
    "reversed": N_("reversed"),
}
_FLAGS: Mapping[str, str] = {
    "same_address": N_("same address as the inviter"),
    "same_device": N_("same browser as the inviter"),
    "burst": N_("many invited in an hour"),
    "neighbours": N_("phone numbers next to each other"),
}
_DECISIONS: Mapping[str, tuple[Literal[Review.APPROVED, Review.REJECTED], str]] = {
    "approve": (Review.APPROVED, "reward_approved"),
    "reject": (Review.REJECTED, "reward_rejected"),
}

Text = Annotated[str | None, QueryParameter()]


@get("/rewards", include_in_schema=False)
async def list_rewards(
    request: AdminRequest,
    status: Text = None,
    unit: Text = None,
    user: Text = None,
    cursor: Text = None,
) -> Response[str]:
    """Show a page of entries: without parameters, the review queue. Raises InvalidRequest."""
    status = status or _QUEUE
    found = await entry_lists.page(
        context(request),
        status=entry_lists.parse_status(None if status == _ALL else status),
        unit=unit or None,
        user_id=user or None,
        cursor=cursor,
        limit=_PAGE_SIZE,
    )
    chosen = {"status": status, "unit": unit or "", "user": user or ""}
    return render.page(
        request,
        "admin/rewards.html",
        entries=found.items,
        next_cursor=found.next_cursor,
        is_first=cursor is None,
        is_queue=status == _QUEUE,
        chosen=chosen,
        query=urlencode({name: text for name, text in chosen.items() if text}),
        units=[(each, each) for each in await entry_lists.units()],
        statuses=[*_STATUSES.items(), (_ALL, N_("all"))],
        flags=_FLAGS,
        phones=await _phones(found.items, user),
    )


@post(
    "/rewards/{entry_id:str}/{action:str}",
    opt=forms.on(PATH, "decision", reasons.FIELD),
    include_in_schema=False,
)
async def decide(request: AdminRequest, entry_id: FromPath[str], action: FromPath[str]) -> Redirect:
    """Approve or reject an entry, and show the same list again. Raises NotFound."""
    if action not in _DECISIONS:
        raise NotFound(reason="no such action")
    decision, notice = _DECISIONS[action]
    try:
        await review.decide(context(request), entry_id, decision, by=reasons.actor(request))
    except ReviewConflict as refusal:
        problems.log_refusal(request, refusal)
        notice = "not_in_review"
    return flash.notice(request, forms.page_of(request), notice)


HANDLERS = [list_rewards, decide]


async def _phones(entries: Iterable[EntryView], *more: str | None) -> dict[str, str]:
    """Return the phones of the users in these entries by user id, without deleted users."""
    ids = {each.user_id for each in entries} | {each.about_user_id for each in entries} | {*more}
    return await users.phones_of(ids)
