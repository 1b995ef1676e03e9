"""Users, for those who administer."""

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
from referral.service import invitations, users
from referral.service.users import InviteeViewPage, UserPage, UserView

SearchText = Annotated[
    str | None,
    QueryParameter(
        description=(
            "A phone, however it is spelt, or some of its digits; parts of a name or of an email, "
            "in any case and any order; an invite code, an invite link, a user id. "
            f"At most {MAX_SEARCH_LENGTH} characters."
        )
    ),
]


class ChangeUser(Struct, forbid_unknown_fields=True):
    is_blocked: Annotated[
        bool | UnsetType,
        Meta(
            description="Blocking ends all the user's sessions and device tokens at once.",
            examples=[True],
        ),
    ] = UNSET
    is_admin: Annotated[
        bool | UnsetType,
        Meta(description="Whether they may use these operations.", examples=[False]),
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
            "Newest first. Deleted users are not in it. `next_cursor` is null on the last page."
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
        return await users.page(context(request), search=search, cursor=cursor, limit=limit)

    @get(
        "/{user_id:str}",
        operation_id="getUser",
        response_description="The user.",
        summary="Read a user",
        responses=responses(*ADMINISTRATOR, errors.InvalidRequest, errors.NotFound),
    )
    async def get_user(self, request: AdminRequest, user_id: UserId) -> UserView:
        return await users.get(context(request), ids.parse(user_id))

    @patch(
        "/{user_id:str}",
        operation_id="changeUser",
        response_description="The user as it is now.",
        summary="Block a user, or make an administrator, or undo it",
        description=(
            "Needs a sign-in under 15 minutes old, or an API key. Either field or both. A test "
            "phone can be no administrator, nor can anybody of an open demo, and the last "
            "administrator stays one: 403."
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
            # The framework would take 1 and "true" for it
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
            "As the users' own deletion. Needs a sign-in under 15 minutes old, or an API key. The "
            "last administrator is not deleted: 403."
        ),
        responses=responses(
            *ADMINISTRATOR, errors.InvalidRequest, errors.SignInAgain, errors.NotFound
        ),
    )
    async def delete_user(self, request: AdminRequest, user_id: UserId) -> None:
        await users.delete(context(request), ids.parse(user_id), by=request.user)

    @get(
        "/{user_id:str}/invitees",
        operation_id="listUserInvitees",
        response_description="A page of invitees.",
        summary="List who activated a user's code",
        description="Newest first.",
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
        response_description="The activation is void.",
        summary="Void a user's activation",
        description=(
            "As if it had never been: the inviter's count goes down, and the user may activate "
            "a code again. Works for a deleted user too. Needs a sign-in under 15 minutes old, or "
            "an API key. 404 if the user has activated none."
        ),
        responses=responses(
            *ADMINISTRATOR, errors.InvalidRequest, errors.SignInAgain, errors.NotFound
        ),
    )
    async def void_activation(self, request: AdminRequest, user_id: UserId) -> None:
        await invitations.void(context(request), ids.parse(user_id), by=request.user)
