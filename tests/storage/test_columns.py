"""Columns as the models describe them."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from tortoise import fields

from referral.storage import columns

# What SQLite has no type for
_CONVERTED = {fields.DatetimeField, fields.BooleanField}


def test_a_column_name_is_converted_in_all_tables_or_none() -> None:
    """Rows of SQLite are converted by the names of their columns."""
    found: dict[str, set[type[Any]]] = defaultdict(set)
    for model in columns.MODELS:
        for name, kind in columns.of_model(model).items():
            found[name].add(kind if kind in _CONVERTED else object)
    assert {name: kinds for name, kinds in found.items() if len(kinds) > 1} == {}
