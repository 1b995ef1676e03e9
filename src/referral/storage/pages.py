"""Lists that run from the newest to the oldest, a page at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from pypika_tortoise.queries import Table
from pypika_tortoise.terms import Criterion, Tuple
from tortoise.expressions import Q, ResolveContext
from tortoise.models import Model
from tortoise.query_utils import QueryModifier
from tortoise.queryset import QuerySet

from referral.core.cursor import Cursor

M = TypeVar("M", bound=Model)


class Where(Q):
    """A condition that Tortoise's filters have no word for."""

    __slots__ = ("_condition",)

    def __init__(self, condition: Callable[[Table], Criterion]) -> None:
        super().__init__()
        self._condition = condition

    def resolve(self, resolve_context: ResolveContext) -> QueryModifier:
        return QueryModifier(where_criterion=self._condition(resolve_context.table))


async def newest(rows: QuerySet[M], *, by: str, after: Cursor | None, limit: int) -> list[M]:
    """The first rows behind a cursor, by the time in the column `by` and then by id.

    An index on both finds the place at any depth, however many rows have one time: as a
    comparison of pairs, and of nothing else.
    """
    if after is not None:
        place = Tuple(after.at, str(after.id))
        rows = rows.filter(Where(lambda table: Tuple(table[by], table.id) < place))
    return await rows.order_by(f"-{by}", "-id").limit(limit)
