"""Rewards: the rules, the entries of the ledger, and the decisions of reviewers."""

from __future__ import annotations

from typing import Annotated, Any

from litestar import Controller, Response, delete, get, post, put
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import JSONBody, PathParameter, QueryParameter
from litestar.status_codes import HTTP_200_OK, HTTP_201_CREATED

from referral.core import errors
from referral.core.cursor import DEFAULT_PAGE_SIZE
from referral.core.reward_status import STATUSES, Review
from referral.http import auth
from referral.http.api.fields import Limit, PageCursor, UserId
from referral.http.api.refusals import ADMINISTRATOR, BODY, SIGNED_IN, responses
from referral.http.requests import AdminRequest, StrictRequest, context, require_integers
from referral.http.responses import JsonResponse
from referral.rewards import entry_lists, review, rule_book
from referral.rewards.entries import EntryView
from referral.rewards.entry_lists import EntryPage, OwnRewards, UserRewards
from referral.rewards.rule_fields import RuleFields, RuleList, RuleView

RuleName = Annotated[
    str, PathParameter(description="The name of a rule: 1 to 64 of the characters A-Z a-z 0-9 _ -.")
]
EntryId = Annotated[str, PathParameter(description="The `id` of an entry.")]


class OwnRewardController(Controller):
    path = "/profile/rewards"
    tags = ("Rewards",)
    guards = (auth.signed_in,)
    security = auth.REQUIRED

    @get(
        operation_id="listOwnRewards",
        response_description="The balances, and a page of entries.",
        summary="List what the user has earned",
        description=(
            "Newest first. In each unit, `pending` is earned and on hold, and `available` can be "
            "redeemed; what is in review counts in neither. `available` is negative if something "
            "was reversed after it was redeemed."
        ),
        responses=responses(*SIGNED_IN, errors.InvalidRequest),
    )
    async def list_own_rewards(
        self,
        request: StrictRequest,
        limit: Limit = DEFAULT_PAGE_SIZE,
        cursor: PageCursor = None,
    ) -> OwnRewards:
        return await entry_lists.own(
            context(request), request.user.user.id, cursor=cursor, limit=limit
        )


class RewardRuleController(Controller):
    path = "/reward-rules"
    tags = ("Rewards",)
    guards = (auth.administrator,)
    security = auth.ADMINISTRATOR
    request_class = AdminRequest

    @get(
        operation_id="listRewardRules",
        response_description="The rules, by name.",
        summary="List the reward rules",
        responses=responses(*ADMINISTRATOR),
    )
    async def list_reward_rules(self) -> RuleList:
        return await rule_book.list_all()

    @put(
        "/{name:str}",
        operation_id="putRewardRule",
        response_description="The rule after the change.",
        summary="Make or change a reward rule",
        description=(
            "A change makes a new version, for the events that are posted from then on; fields "
            "that are left out get their defaults. `trigger`, `beneficiary`, `unit` and `occurs` "
            "never change, and a deleted name is not used again (400). Requires a sign-in less "
            "than 15 minutes old, or an API key."
        ),
        responses={
            HTTP_201_CREATED: ResponseSpec(
                RuleView, generate_examples=False, description="The rule is made."
            ),
            **responses(*ADMINISTRATOR, *BODY, errors.SignInAgain),
        },
    )
    async def put_reward_rule(
        self, name: RuleName, data: JSONBody[RuleFields], request: AdminRequest
    ) -> Response[RuleView]:
        content: dict[str, Any] = await request.json()
        require_integers(content, "amount", "min_value", "cap_per_month", "cap_total", "hold_days")
        if isinstance(content.get("occurs"), dict):
            require_integers(content["occurs"], "at", "each")
        rule, is_new = await rule_book.put(context(request), name, data, by=request.user)
        return JsonResponse(rule, status_code=HTTP_201_CREATED if is_new else HTTP_200_OK)

    @delete(
        "/{name:str}",
        operation_id="deleteRewardRule",
        response_description="The rule is deleted.",
        summary="Delete a reward rule",
        description=(
            "It counts no new event and keeps its entries. Its name is not used again. Requires a "
            "sign-in less than 15 minutes old, or an API key."
        ),
        responses=responses(
            *ADMINISTRATOR, errors.InvalidRequest, errors.SignInAgain, errors.NotFound
        ),
    )
    async def delete_reward_rule(self, name: RuleName, request: AdminRequest) -> None:
        await rule_book.delete(context(request), name, by=request.user)


class RewardController(Controller):
    tags = ("Rewards",)
    guards = (auth.administrator,)
    security = auth.ADMINISTRATOR
    request_class = AdminRequest

    @get(
        "/users/{user_id:str}/rewards",
        operation_id="listUserRewards",
        response_description="The balances, and a page of entries.",
        summary="List what a user has earned",
        description="Newest first. Also for a deleted user, whose entries remain.",
        responses=responses(*ADMINISTRATOR, errors.InvalidRequest, errors.NotFound),
    )
    async def list_user_rewards(
        self,
        request: AdminRequest,
        user_id: UserId,
        limit: Limit = DEFAULT_PAGE_SIZE,
        cursor: PageCursor = None,
    ) -> UserRewards:
        return await entry_lists.of_user(context(request), user_id, cursor=cursor, limit=limit)

    @get(
        "/rewards",
        operation_id="listRewards",
        response_description="A page of entries.",
        summary="List the entries of the ledger",
        description="Newest first. `status=in_review` lists those that wait for a decision.",
        responses=responses(*ADMINISTRATOR, errors.InvalidRequest),
    )
    async def list_rewards(
        self,
        request: AdminRequest,
        limit: Limit = DEFAULT_PAGE_SIZE,
        cursor: PageCursor = None,
        status: Annotated[
            str | None, QueryParameter(description=f"One of {', '.join(STATUSES)}.")
        ] = None,
        unit: Annotated[str | None, QueryParameter(description="A unit of the rules.")] = None,
    ) -> EntryPage:
        return await entry_lists.page(
            context(request),
            status=entry_lists.parse_status(status),
            unit=unit,
            cursor=cursor,
            limit=limit,
        )

    @post(
        "/rewards/{entry_id:str}/approve",
        status_code=HTTP_200_OK,
        operation_id="approveReward",
        response_description="The approved entry.",
        summary="Approve an entry in review",
        description=(
            "It becomes `pending` or `available` by its hold. The same decision again succeeds. "
            "Requires a sign-in less than 15 minutes old, or an API key."
        ),
        responses=responses(
            *ADMINISTRATOR,
            errors.InvalidRequest,
            errors.SignInAgain,
            errors.NotFound,
            errors.ReviewConflict,
        ),
    )
    async def approve_reward(self, entry_id: EntryId, request: AdminRequest) -> EntryView:
        return await review.decide(context(request), entry_id, Review.APPROVED, by=request.user)

    @post(
        "/rewards/{entry_id:str}/reject",
        status_code=HTTP_200_OK,
        operation_id="rejectReward",
        response_description="The rejected entry.",
        summary="Reject an entry in review",
        description=(
            "This is final: the rule gives no other entry for the same event, invitee or "
            "milestone. The same decision again succeeds. Requires a sign-in less than 15 minutes "
            "old, or an API key."
        ),
        responses=responses(
            *ADMINISTRATOR,
            errors.InvalidRequest,
            errors.SignInAgain,
            errors.NotFound,
            errors.ReviewConflict,
        ),
    )
    async def reject_reward(self, entry_id: EntryId, request: AdminRequest) -> EntryView:
        return await review.decide(context(request), entry_id, Review.REJECTED, by=request.user)
