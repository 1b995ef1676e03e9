"""The audit trail, for administrators."""

from __future__ import annotations

from typing import Annotated

from litestar import Controller, get
from litestar.params import QueryParameter

from referral import audit
from referral.audit import AuditPage
from referral.core import errors
from referral.core.cursor import DEFAULT_PAGE_SIZE
from referral.http import auth
from referral.http.api.fields import Limit, PageCursor
from referral.http.api.refusals import ADMINISTRATOR, responses
from referral.http.requests import AdminRequest


class AuditController(Controller):
    path = "/audit"
    tags = ("Administration",)
    guards = (auth.administrator,)
    security = auth.ADMINISTRATOR
    request_class = AdminRequest

    @get(
        operation_id="listAudit",
        response_description="A page of audit entries.",
        summary="List the audit trail",
        description=(
            "Lists who did what, when and from which address, newest first. Users are identified "
            "by id, even deleted ones; phone numbers never appear."
        ),
        responses=responses(*ADMINISTRATOR, errors.InvalidRequest),
    )
    async def list_audit(
        self,
        limit: Limit = DEFAULT_PAGE_SIZE,
        cursor: PageCursor = None,
        user: Annotated[
            str | None,
            QueryParameter(
                description=(
                    "The `id` of a user, to list only what was done to them, by themselves or "
                    "others."
                )
            ),
        ] = None,
    ) -> AuditPage:
        return await audit.page(user=user, cursor=cursor, limit=limit)
