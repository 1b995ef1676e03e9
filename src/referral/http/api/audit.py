"""The audit trail, for those who administer."""

from __future__ import annotations

from typing import Annotated

from litestar import Controller, get
from litestar.params import QueryParameter

from referral.core import errors
from referral.core.cursor import DEFAULT_PAGE_SIZE
from referral.http import auth
from referral.http.api.fields import Limit, PageCursor
from referral.http.api.refusals import ADMINISTRATOR, responses
from referral.http.requests import AdminRequest
from referral.service import audit
from referral.service.audit import AuditPage


class AuditController(Controller):
    path = "/audit"
    tags = ("Administration",)
    guards = (auth.administrator,)
    security = auth.ADMINISTRATOR
    request_class = AdminRequest

    @get(
        operation_id="listAudit",
        response_description="A page of the audit trail.",
        summary="See who did what, when, from where",
        description="Newest first. It has ids of users, deleted ones too, and never a phone.",
        responses=responses(*ADMINISTRATOR, errors.InvalidRequest),
    )
    async def list_audit(
        self,
        limit: Limit = DEFAULT_PAGE_SIZE,
        cursor: PageCursor = None,
        user: Annotated[
            str | None,
            QueryParameter(description="What was done to one user, by themselves or by others."),
        ] = None,
    ) -> AuditPage:
        return await audit.page(user=user, cursor=cursor, limit=limit)
