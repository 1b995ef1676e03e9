"""Statistics, for administrators."""

from __future__ import annotations

from typing import Annotated

from litestar import Controller, get
from litestar.params import QueryParameter

from referral.core import errors
from referral.core.days import DEFAULT_DAYS, MAX_DAYS
from referral.http import auth
from referral.http.api.refusals import ADMINISTRATOR, responses
from referral.http.requests import AdminRequest, context
from referral.service import stats
from referral.service.stats import Stats


class StatsController(Controller):
    path = "/stats"
    tags = ("Administration",)
    guards = (auth.administrator,)
    security = auth.ADMINISTRATOR
    request_class = AdminRequest

    @get(
        operation_id="getStats",
        response_description="The statistics.",
        summary="Get growth statistics",
        description=(
            "Totals, sign-ups, activations and opens of invite links for each day (UTC), the top "
            "inviters, and the K-factor with its two halves. Deleted users are counted only in "
            "`totals.deleted`: what they and their links had before is in no number. Voided "
            "activations are not counted."
        ),
        responses=responses(*ADMINISTRATOR, errors.InvalidRequest),
    )
    async def get_stats(
        self,
        request: AdminRequest,
        first: Annotated[
            str | None,
            QueryParameter(
                name="from",
                description=(
                    f"The first day, such as 2026-01-31; by default, the period has {DEFAULT_DAYS} "
                    f"days. It may have at most {MAX_DAYS}."
                ),
            ),
        ] = None,
        last: Annotated[
            str | None,
            QueryParameter(name="to", description="The last day; by default, today (UTC)."),
        ] = None,
    ) -> Stats:
        return await stats.get(context(request), first=first, last=last)
