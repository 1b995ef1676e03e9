"""Columns as the models describe them."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from referral.storage import columns


def test_a_column_name_has_one_type_in_all_tables() -> None:
    """Rows of SQLite are converted by the names of their columns."""
    found: dict[str, set[type[Any]]] = defaultdict(set)
    for model in columns.MODELS:
        for name, kind in columns.of_model(model).items():
            found[name].add(kind)
    assert {name: kinds for name, kinds in found.items() if len(kinds) > 1} == {}
