"""Users, for administrators: search, block, grant rights, delete, void activations."""

from __future__ import annotations

from typing import Annotated

from litestar import Controller, delete, get, patch
from litestar.params import JSONBody, QueryParameter
from msgspec import UNSET, Meta, Struct, UnsetType

from referral.core import errors, ids
from referral.core.cursor import DEFAULT_PAGE_SIZE
from referral.core.search import MAX_SEARCH_LENGTH
from referral.http import auth
from referral.http.api.fields import Limit, PageCursor, UserId
from referral.http.api.refusals import ADMINISTRATOR, BODY, responses
from referral.http.requests import AdminRequest, context
from referral.service import deletion, invitations, user_lists, users
from referral.service.user_lists import UserFilters, UserPage
from referral.service.users import InviteeViewPage, UserView

SearchText = Annotated[
    str | None,
    QueryParameter(
        description=(
            "A phone in any spelling, or some of its digits; parts of a name or email, in any case "
            "and order; an invite code, an invite link or a user id. "
            f"At most {MAX_SEARCH_LENGTH} characters."
        )
    ),
]


class ChangeUser(Struct, forbid_unknown_fields=True):
    is_blocked: Annotated[
        bool | UnsetType,
        Meta(
            description=(
                "Whether the user is blocked. Blocking ends all sessions and device tokens of the "
                "user immediately."
            ),
            examples=[True],
        ),
    ] = UNSET
    is_admin: Annotated[
        bool | UnsetType,
        Meta(
            description="Whether the user may use the operations under Administration.",
            examples=[False],
        ),
    ] = UNSET


class UserController(Controller):
    path = "/users"
    tags = ("Administration",)
    guards = (auth.administrator,)
    security = auth.ADMINISTRATOR
    request_class = AdminRequest

    @get(
        operation_id="listUsers",
        response_description="A page of users.",
        summary="List and search users",
        description=(
            "Newest first, without deleted users. `next_cursor` is null on the last page."
        ),
        responses=responses(*ADMINISTRATOR, errors.InvalidRequest),
    )
    async def list_users(
        self,
        request: AdminRequest,
        limit: Limit = DEFAULT_PAGE_SIZE,
        cursor: PageCursor = None,
        search: SearchText = None,
    ) -> UserPage:
        ctx = context(request)
        selection = await user_lists.select(ctx, UserFilters(search=search))
        return await user_lists.page(ctx, selection, cursor=cursor, limit=limit)

    @get(
        "/{user_id:str}",
        operation_id="getUser",
        response_description="The user.",
        summary="Get a user",
        responses=responses(*ADMINISTRATOR, errors.InvalidRequest, errors.NotFound),
    )
    async def get_user(self, request: AdminRequest, user_id: UserId) -> UserView:
        return await users.get(context(request), ids.parse(user_id))

    @patch(
        "/{user_id:str}",
        operation_id="changeUser",
        response_description="The user after the change.",
        summary="Block or unblock a user, or change administrator rights",
        description=(
            "Send one of the fields, or both. Requires a sign-in less than 15 minutes old, or an "
            "API key. Returns 403 `forbidden` if the last administrator would be removed, or if "
            "the new one has a test phone. In an open demo nobody can become an administrator."
        ),
        responses=responses(*ADMINISTRATOR, *BODY, errors.SignInAgain, errors.NotFound),
    )
    async def change_user(
        self,
        data: JSONBody[ChangeUser],
        request: AdminRequest,
        user_id: UserId,
    ) -> UserView:
        for field, value in (await request.json()).items():
            # The framework would accept 1 and "true"
            if not isinstance(value, bool):
                raise errors.InvalidRequest.field(field, "Must be true or false.")
        return await users.change(
            context(request),
            ids.parse(user_id),
            is_blocked=data.is_blocked,
            is_admin=data.is_admin,
            by=request.user,
        )

    @delete(
        "/{user_id:str}",
        operation_id="deleteUser",
        response_description="The user is deleted.",
        summary="Delete a user",
        description=(
            "Has the same effect as `DELETE /api/v1/profile` by the user. Requires a sign-in less "
            "than 15 minutes old, or an API key. The last administrator cannot be deleted (403 "
            "`forbidden`)."
        ),
        responses=responses(
            *ADMINISTRATOR, errors.InvalidRequest, errors.SignInAgain, errors.NotFound
        ),
    )
    async def delete_user(self, request: AdminRequest, user_id: UserId) -> None:
        await deletion.delete(context(request), ids.parse(user_id), by=request.user)

    @get(
        "/{user_id:str}/invitees",
        operation_id="listUserInvitees",
        response_description="A page of invitees.",
        summary="List the users who activated a user's code",
        description="Newest first, with their current phones.",
        responses=responses(*ADMINISTRATOR, errors.InvalidRequest, errors.NotFound),
    )
    async def list_user_invitees(
        self,
        user_id: UserId,
        limit: Limit = DEFAULT_PAGE_SIZE,
        cursor: PageCursor = None,
    ) -> InviteeViewPage:
        return await users.invitees(ids.parse(user_id), cursor=cursor, limit=limit)

    @delete(
        "/{user_id:str}/inviter",
        operation_id="voidActivation",
        response_description="The activation is voided.",
        summary="Void a user's activation",
        description=(
            "Undoes the activation of an invite code: it no longer counts for the inviter, and the "
            "user may activate a code again. Also works for a deleted user. Requires a sign-in "
            "less than 15 minutes old, or an API key. Returns 404 `not_found` if the user has not "
            "activated a code."
        ),
        responses=responses(
            *ADMINISTRATOR, errors.InvalidRequest, errors.SignInAgain, errors.NotFound
        ),
    )
    async def void_activation(self, request: AdminRequest, user_id: UserId) -> None:
        await invitations.void(context(request), ids.parse(user_id), by=request.user)
