"""Events and redemptions, which the backend of the team's app sends with an API key."""

from __future__ import annotations

from typing import Annotated, Any

from litestar import Controller, Response, post
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import JSONBody, PathParameter
from litestar.status_codes import HTTP_200_OK, HTTP_201_CREATED
from msgspec import Meta, Struct

from referral.core import errors
from referral.http import auth
from referral.http.api.fields import UserId
from referral.http.api.refusals import BODY, KEY, responses
from referral.http.requests import AdminRequest, context, require_integers
from referral.http.responses import JsonResponse
from referral.rewards import events, redemptions
from referral.rewards.entries import EntryView
from referral.rewards.events import MAX_REASON_LENGTH, EventResult, PostedEvent
from referral.rewards.redemptions import NewRedemption

EventId = Annotated[str, PathParameter(description="The `event_id` of a posted event.")]
RedemptionId = Annotated[str, PathParameter(description="The `redemption_id` of a redemption.")]


class PostEvent(Struct, forbid_unknown_fields=True):
    event_id: Annotated[
        str,
        Meta(
            description=(
                "Your id of what happened, by which a repeat is recognised: 1 to 128 of the "
                "characters A-Z a-z 0-9 . _ : = + @ ~ -."
            ),
            examples=["order-4711"],
        ),
    ]
    type: Annotated[
        str,
        Meta(
            description="The `trigger` of the rules that it is for, but not `activated`.",
            examples=["purchase"],
        ),
    ]
    user_id: Annotated[
        str | None,
        Meta(
            description="The user who did it: the `sub` of their tokens. Or give `phone`.",
            examples=["9b2d3c1e-4f5a-4e6b-8c7d-0a1b2c3d4e5f"],
        ),
    ] = None
    phone: Annotated[
        str | None,
        Meta(description="The user's present phone, instead of `user_id`."),
    ] = None
    occurred_at: Annotated[
        str | None,
        Meta(
            description="At most 90 days ago (RFC 3339). Now by default.",
            examples=["2026-01-31T12:00:00Z"],
        ),
    ] = None
    value: Annotated[
        int | None,
        Meta(
            description="For the `min_value` of rules, in a unit of yours: 0 to 10^15.",
            examples=[4900],
        ),
    ] = None


class ReverseEvent(Struct, forbid_unknown_fields=True):
    reason: Annotated[
        str | None,
        Meta(
            description=(
                "Why, in one line: the `cause` of the reversing entries. At most "
                f"{MAX_REASON_LENGTH} characters; `reversed` by default."
            ),
            examples=["refund"],
        ),
    ] = None


class Redeem(Struct, forbid_unknown_fields=True):
    redemption_id: Annotated[
        str,
        Meta(
            description="Your id of the redemption, with the same characters as an `event_id`.",
            examples=["checkout-12"],
        ),
    ]
    unit: Annotated[str, Meta(examples=["points"])]
    amount: Annotated[int, Meta(description="From 1 to 1,000,000,000.", examples=[300])]


class RewardEventController(Controller):
    tags = ("Rewards",)
    guards = (auth.any_api_key,)
    security = auth.KEY
    request_class = AdminRequest

    @post(
        "/events",
        status_code=HTTP_200_OK,
        operation_id="postEvent",
        response_description="The same event was posted before: the entries that it made.",
        summary="Post an event",
        description=(
            "Tells what a user did, so that the reward rules for its type make their entries. It "
            "counts if the user has an inviter, whose code was activated when it occurred, for "
            "the rules as they are now; that decision never changes. An event of anybody else is "
            "stored and earns nothing. Send it again after a timeout: the same content with the "
            "same `event_id` earns once, and returns the same entries with their present status. "
            "A refused event is not stored."
        ),
        responses={
            HTTP_201_CREATED: ResponseSpec(
                EventResult, generate_examples=False, description="The event is stored."
            ),
            **responses(
                *KEY,
                *BODY,
                errors.InvalidPhone,
                errors.UnsupportedPhone,
                errors.NotFound,
                errors.EventConflict,
            ),
        },
    )
    async def post_event(
        self, data: JSONBody[PostEvent], request: AdminRequest
    ) -> Response[EventResult]:
        content: dict[str, Any] = await request.json()
        require_integers(content, "value")
        posted = PostedEvent(
            event_id=data.event_id,
            type=data.type,
            user_id=data.user_id,
            phone=data.phone,
            occurred_at=data.occurred_at,
            value=data.value,
            content=content,
        )
        result, is_new = await events.post(context(request), posted, by=request.user)
        return JsonResponse(result, status_code=HTTP_201_CREATED if is_new else HTTP_200_OK)

    @post(
        "/events/{event_id:str}/reverse",
        status_code=HTTP_200_OK,
        operation_id="reverseEvent",
        response_description="The reversing entries, and those that are made anew.",
        summary="Reverse an event",
        description=(
            "For a refund, a chargeback or a mistake. Takes back the entries that are not earned "
            "without the event, also if they were redeemed already. If another event of the "
            "invitee still earns a `first` reward, it is made anew. A repeated reversal returns "
            "the same entries."
        ),
        responses=responses(*KEY, *BODY, errors.NotFound),
    )
    async def reverse_event(
        self, event_id: EventId, data: JSONBody[ReverseEvent], request: AdminRequest
    ) -> EventResult:
        return await events.reverse(context(request), event_id, reason=data.reason, by=request.user)

    @post(
        "/users/{user_id:str}/redemptions",
        status_code=HTTP_200_OK,
        operation_id="redeem",
        response_description="The same redemption was made before.",
        summary="Redeem a part of a user's balance",
        description=(
            "Subtracts an amount from what the user has available. The same content with the same "
            "`redemption_id` is redeemed once. A refused redemption is not stored: send it again."
        ),
        responses={
            HTTP_201_CREATED: ResponseSpec(
                EntryView, generate_examples=False, description="The amount is redeemed."
            ),
            **responses(
                *KEY,
                *BODY,
                errors.AccountBlocked,
                errors.NotFound,
                errors.InsufficientBalance,
                errors.RedemptionConflict,
            ),
        },
    )
    async def redeem(
        self, user_id: UserId, data: JSONBody[Redeem], request: AdminRequest
    ) -> Response[EntryView]:
        content: dict[str, Any] = await request.json()
        require_integers(content, "amount")
        wanted = NewRedemption(
            user_id=user_id,
            redemption_id=data.redemption_id,
            unit=data.unit,
            amount=data.amount,
            content=content,
        )
        entry, is_new = await redemptions.redeem(context(request), wanted, by=request.user)
        return JsonResponse(entry, status_code=HTTP_201_CREATED if is_new else HTTP_200_OK)

    @post(
        "/redemptions/{redemption_id:str}/reverse",
        status_code=HTTP_200_OK,
        operation_id="reverseRedemption",
        response_description="The entry that gives the amount back.",
        summary="Reverse a redemption",
        description=(
            "Gives the whole amount back. A repeated reversal returns the same entry. The "
            "`redemption_id` cannot be used again."
        ),
        responses=responses(*KEY, errors.InvalidRequest, errors.NotFound),
    )
    async def reverse_redemption(
        self, redemption_id: RedemptionId, request: AdminRequest
    ) -> EntryView:
        return await redemptions.reverse(context(request), redemption_id, by=request.user)
