"""Statistics, for those who administer."""

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
        response_description="The numbers.",
        summary="See how the service grows",
        description=(
            "Totals; sign-ups and activations by day, UTC; who invited most; the K-factor. Deleted "
            "users, and activations that were voided, are in none of it."
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
                    f"The first day, as 2026-01-31. {DEFAULT_DAYS} days up to `to`, unless given; "
                    f"{MAX_DAYS} at most."
                ),
            ),
        ] = None,
        last: Annotated[
            str | None,
            QueryParameter(name="to", description="The last day. Today, unless given."),
        ] = None,
    ) -> Stats:
        return await stats.get(context(request), first=first, last=last)
