"""The user's sessions."""

from __future__ import annotations

from typing import Annotated

from litestar import Controller, delete, get
from litestar.params import PathParameter

from referral.core import errors
from referral.core.cursor import DEFAULT_PAGE_SIZE
from referral.http import auth
from referral.http.api.fields import Limit, PageCursor
from referral.http.api.refusals import SIGNED_IN, responses
from referral.http.requests import StrictRequest, caller, context
from referral.service import sessions
from referral.service.sessions import SessionPage


class SessionController(Controller):
    path = "/sessions"
    tags = ("Sessions",)
    guards = (auth.signed_in,)
    security = auth.REQUIRED

    @get(
        operation_id="listSessions",
        response_description="A page of sessions.",
        summary="List the user's sessions",
        description="Newest first. `current` is true for the session of this request.",
        responses=responses(*SIGNED_IN, errors.InvalidRequest),
    )
    async def list_sessions(
        self,
        request: StrictRequest,
        limit: Limit = DEFAULT_PAGE_SIZE,
        cursor: PageCursor = None,
    ) -> SessionPage:
        return await sessions.page(context(request), request.user, cursor=cursor, limit=limit)

    @delete(
        "/{session_id:str}",
        operation_id="endSession",
        response_description="The session has ended.",
        summary="End a session",
        description=(
            "Its refresh and access tokens stop working immediately. If it is not the session of "
            "this request, all device tokens of the user stop working too."
        ),
        responses=responses(*SIGNED_IN, errors.InvalidRequest, errors.NotFound),
    )
    async def end_session(
        self,
        request: StrictRequest,
        session_id: Annotated[
            str,
            PathParameter(description="The `id` of a session from `GET /api/v1/sessions`."),
        ],
    ) -> None:
        await sessions.end(context(request), request.user, session_id, caller=caller(request))

    @delete(
        operation_id="endAllSessions",
        response_description="All sessions have ended.",
        summary="End all sessions",
        description=(
            "Signs the user out everywhere, including the session of this request. All device "
            "tokens of the user stop working too."
        ),
        responses=responses(*SIGNED_IN),
    )
    async def end_all_sessions(self, request: StrictRequest) -> None:
        await sessions.sign_out_everywhere(context(request), request.user, caller=caller(request))
