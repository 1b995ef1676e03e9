"""Exporting the ledger: as CSV, or as a journal for hledger or beancount."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum

from msgspec import Struct

from referral import observability
from referral.rewards import entries, entry_csv, export_queries, journal, rules
from referral.rewards.journal import Transaction
from referral.storage.models import RewardEntry

BATCH = 500
_MAX_HOLD = timedelta(days=rules.MAX_HOLD_DAYS)


class Format(StrEnum):
    CSV = "csv"
    HLEDGER = "hledger"
    BEANCOUNT = "beancount"


class Run(Struct, frozen=True, kw_only=True):
    """An export of the entries made up to now.

    first_day: the first day whose entries are exported. end_day: the day after the last one. None:
    no bound. progress: called with the number of entries written so far.
    """

    write: Callable[[str], object]
    progress: Callable[[int], object]
    now: datetime
    first_day: date = date.min
    end_day: date = date.max
    batch: int = BATCH

    @property
    def end(self) -> datetime:
        return min(self.now + timedelta.resolution, _midnight(self.end_day))

    def contains(self, day: date) -> bool:
        return self.first_day <= day < self.end_day


async def export(run: Run, file_format: Format) -> int:
    """Write the ledger, oldest first. Return how many entries were written.

    Entries that are committed meanwhile may be missing.
    """
    if file_format is Format.CSV:
        done = await _export_csv(run)
    else:
        done = await _export_journal(run, file_format)
    observability.record("rewards_exported", entries=done)
    return done


async def _export_csv(run: Run) -> int:
    done = 0
    run.write(entry_csv.header())
    start = _midnight(run.first_day)
    async for batch in export_queries.batches(start=start, end=run.end, size=run.batch):
        views = await entries.views(batch, now=run.now)
        run.write(entry_csv.lines(views))
        done += len(batch)
        run.progress(done)
    return done


async def _export_journal(run: Run, file_format: Format) -> int:
    done = 0
    is_beancount = file_format is Format.BEANCOUNT
    form = journal.format_beancount if is_beancount else journal.format_hledger
    # Holds of earlier entries may end in these days
    start = _midnight(max(run.first_day, (date.min + _MAX_HOLD)) - _MAX_HOLD)
    opened: dict[str, date] = {}
    async for batch in export_queries.batches(start=start, end=run.end, size=run.batch):
        transactions = await _transactions(batch, run)
        run.write("".join(map(form, transactions)))
        for each in transactions:
            if not journal.is_of_user(each.source):
                opened.setdefault(each.source, each.day)
        done += sum(run.contains(journal.utc_day(each.created_at)) for each in batch)
        run.progress(done)
    if is_beancount:
        await _open_accounts(run, opened, start)
    return done


async def _transactions(batch: Sequence[RewardEntry], run: Run) -> list[Transaction]:
    reversed_entries = await export_queries.reversed_by(batch)
    return [
        transaction
        for each in batch
        for transaction in journal.transactions(
            each, reversed_entries.get(each.reverses_id or each.id), now=run.now
        )
        if run.contains(transaction.day)
    ]


async def _open_accounts(run: Run, shared: Mapping[str, date], start: datetime) -> None:
    """Write when beancount's accounts begin.

    At the end of the journal, so that nobody is missing whose first entry was committed meanwhile.
    shared: accounts that do not belong to users.
    """
    run.write("".join(journal.format_open(account, day) for account, day in shared.items()))
    async for batch in export_queries.first_entries(start=start, end=run.end, size=run.batch):
        run.write(
            "".join(
                journal.format_open(account, journal.utc_day(at))
                for user_id, at in batch
                for account in journal.user_accounts(user_id)
            )
        )


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)
