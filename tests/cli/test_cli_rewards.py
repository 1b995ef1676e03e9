"""`referral rewards`, run as a process of its own."""

from __future__ import annotations

import csv
import io
import stat
from pathlib import Path

import pytest

from journals import beancount_balances, hledger_balances
from processes import done, referral, refusal
from referral.storage.models import RewardEntry
from rewards import open_shop
from support import Person, Service


@pytest.fixture
async def inviter(service: Service) -> Person:
    """The inviter of somebody who bought something twice."""
    await RewardEntry.all().delete()
    async with open_shop(service) as shop:
        await shop.rule()
        inviter, invitee = await shop.invite()
        for number in range(2):
            await shop.event(f"order-{number}", invitee)
    return inviter


def test_the_ledger_is_printed_as_csv(inviter: Person, on: dict[str, str], tmp_path: Path) -> None:
    """Standard output has only the entries."""
    printed = referral(tmp_path, "rewards", "export", **on)
    rows = list(csv.DictReader(io.StringIO(done(printed))))
    assert [(row["user_id"], row["amount"]) for row in rows] == [(inviter.id(), "100")] * 2
    assert printed.stderr.splitlines()[-1] == "2 entries"


@pytest.mark.parametrize("form", ["hledger", "beancount"])
def test_a_journal_is_written_to_a_file(
    inviter: Person, form: str, on: dict[str, str], tmp_path: Path
) -> None:
    """Only its owner can read it."""
    arguments = ("--format", form, "--output", "rewards", "--from", "2026-01-01")
    assert done(referral(tmp_path, "rewards", "export", *arguments, **on)) == "2 entries\n"
    file = tmp_path / "rewards"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    balances = hledger_balances(file) if form == "hledger" else beancount_balances(file)
    [((user_id, _), balance)] = balances.items()
    assert (user_id, balance) == (inviter.id(), (200, 0))


async def test_only_entries_of_these_days_are_exported(
    inviter: Person, service: Service, on: dict[str, str], tmp_path: Path
) -> None:
    today = str(service.clock().date())
    for option, number in (("--from", 2), ("--until", 0)):
        printed = done(referral(tmp_path, "rewards", "export", option, today, **on))
        assert printed.count(inviter.id()) == number


def test_wrong_days_and_files_are_refused(on: dict[str, str], tmp_path: Path) -> None:
    """The last day must be after the first, because it is not included."""
    days = ("--from", "2026-01-31", "--until", "2026-01-31")
    assert "--until" in refusal(referral(tmp_path, "rewards", "export", *days, **on))
    assert "none/x" in refusal(referral(tmp_path, "rewards", "export", "--output", "none/x", **on))
    unknown = referral(tmp_path, "rewards", "export", "--from", "31.01.2026", **on)
    assert unknown.returncode == 2
    assert not any(tmp_path.glob("*.part"))
