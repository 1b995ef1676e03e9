"""The table of docs/rewards.md about farms."""

from __future__ import annotations

import pytest

import farming


@pytest.mark.long
async def test_the_documented_table_is_what_the_simulation_finds() -> None:
    assert await farming.table() in farming.DOCUMENT.read_text()
