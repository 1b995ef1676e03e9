"""Journals of the ledger in double entry, as hledger and beancount read them.

An earned entry moves its amount from the expenses of its rule to an account of its user. A user has
an account for each state in which an entry can be:

- `Liabilities:Rewards:Available` and `Liabilities:Rewards:Pending` are the user's balances. They
  are liabilities, so their sums are negative.
- `Equity:Rewards:InReview` and `Equity:Rewards:Rejected` are for what counts in no balance. The
  other posting is in the same account, whose sum is zero therefore.

The end of a hold moves the amount from `Pending` to `Available`, a redemption from `Available` to
`Equity:Rewards:Redeemed`. An entry that reverses another one moves the amount back from the account
where it was at that time. So the sums up to a day are the balances at the end of that day.

A review has no date in the ledger: an entry is shown from its first day as it was decided.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Protocol
from urllib.parse import quote
from uuid import UUID

from msgspec import Struct

from referral.core import reward_status
from referral.core.reward_status import Kind, Review

STATES = ("Available", "Pending", "InReview", "Rejected")

_NOT_COUNTED = {Review.ASKED: "InReview", Review.REJECTED: "Rejected"}
_REDEEMED = "Equity:Rewards:Redeemed"
# Words with a meaning of their own in beancount's grammar. No unit has a dot
_RESERVED = {word: f"UNIT.{word}" for word in ("TRUE", "FALSE", "NULL")}


class LedgerEntry(reward_status.Entry, Protocol):
    """The part of an entry that is written to a journal."""

    id: UUID
    user_id: UUID
    unit: str
    amount: int
    cause: str
    created_at: datetime
    rule: str | None
    reverses_id: UUID | None


class Transaction(Struct, frozen=True, kw_only=True):
    """An amount that moves from one account to another. The amount may be negative.

    cause: any text. The other texts have only letters, digits and harmless punctuation.
    """

    day: date
    title: str
    cause: str
    entry_id: UUID
    reverses_id: UUID | None
    source: str
    target: str
    amount: int
    unit: str

    @property
    def postings(self) -> tuple[tuple[str, int], tuple[str, int]]:
        """The accounts and what is added to them: a credit is negative."""
        return (self.target, -self.amount), (self.source, self.amount)


def transactions(
    entry: LedgerEntry, reversed_entry: LedgerEntry | None, *, now: datetime
) -> Iterator[Transaction]:
    """Return what an entry that is not CAPPED changes up to now.

    reversed_entry: the one that it reverses.
    """
    match entry.kind:
        case Kind.EARNED:
            yield _rule_transaction(entry, entry, f"Rule {entry.rule}")
            if _hold_ended(entry, now=now):
                yield _end_of_hold(entry)
        case Kind.REVERSAL if reversed_entry is not None:
            title = f"Rule {entry.rule}: reversal"
            yield _rule_transaction(entry, reversed_entry, title)
        case Kind.REDEMPTION:
            yield _redemption(entry, "Redemption")
        case Kind.RETURN:
            yield _redemption(entry, "Redemption: reversal")
        case _:
            raise ValueError(entry.kind)


def user_accounts(user_id: UUID) -> list[str]:
    """Return all accounts of a user."""
    return [_user_account(user_id, state) for state in STATES]


def is_of_user(account: str) -> bool:
    return account.rpartition(":")[2].startswith("User-")


def format_hledger(transaction: Transaction) -> str:
    """Return the lines of a transaction for hledger."""
    note = _escape_hledger(transaction.cause)
    reverses = f"  ; reverses:{each}" if (each := transaction.reverses_id) else ""
    header = f"{transaction.day} * ({transaction.entry_id}) {transaction.title} | {note}{reverses}"
    lines = [
        f'    {account}  {amount} "{transaction.unit}"' for account, amount in transaction.postings
    ]
    return "\n".join([header, *lines]) + "\n\n"


def format_beancount(transaction: Transaction) -> str:
    """Return the lines of a transaction for beancount."""
    unit = transaction.unit.upper()
    lines = [
        f'{transaction.day} * "{transaction.title}" {_quote_beancount(transaction.cause)}',
        f'  entry: "{transaction.entry_id}"',
        *([f'  reverses: "{each}"'] if (each := transaction.reverses_id) else []),
        *(
            f"  {account}  {amount} {_RESERVED.get(unit, unit)}"
            for account, amount in transaction.postings
        ),
    ]
    return "\n".join(lines) + "\n\n"


def format_open(account: str, day: date) -> str:
    """Return the line by which beancount knows an account."""
    return f"{day} open {account}\n"


def _rule_transaction(entry: LedgerEntry, earned: LedgerEntry, title: str) -> Transaction:
    """Return the transaction of an earned entry, or of one that reverses it."""
    state = _state(earned, at=entry.created_at)
    # beancount has no _ in the names of accounts. The title has the name as it is
    rule = str(earned.rule).replace("_", "-")
    group = f"Equity:Rewards:{state}" if state in _NOT_COUNTED.values() else "Expenses:Rewards"
    return _transaction(
        entry,
        title,
        source=f"{group}:Rule-{rule}",
        target=_user_account(entry.user_id, state),
    )


def _end_of_hold(entry: LedgerEntry) -> Transaction:
    ended_at = entry.available_at
    return _transaction(
        entry,
        f"Rule {entry.rule}: end of hold",
        source=_user_account(entry.user_id, "Pending"),
        target=_user_account(entry.user_id, "Available"),
        at=ended_at,
    )


def _redemption(entry: LedgerEntry, title: str) -> Transaction:
    return _transaction(
        entry, title, source=_REDEEMED, target=_user_account(entry.user_id, "Available")
    )


def _transaction(
    entry: LedgerEntry, title: str, *, source: str, target: str, at: datetime | None = None
) -> Transaction:
    return Transaction(
        day=utc_day(at or entry.created_at),
        title=title,
        cause=entry.cause,
        entry_id=entry.id,
        reverses_id=entry.reverses_id,
        source=source,
        target=target,
        amount=entry.amount,
        unit=entry.unit,
    )


def _hold_ended(entry: LedgerEntry, *, now: datetime) -> bool:
    """Return whether an earned entry became available after it had been pending."""
    return (
        _state(entry, at=entry.created_at) == "Pending"
        and _state(entry, at=now) == "Available"
        and (entry.reversed_at is None or _state(entry, at=entry.reversed_at) == "Available")
    )


def _state(earned: LedgerEntry, *, at: datetime) -> str:
    """Return in which of the user's accounts an earned entry was, before any reversal."""
    if earned.review in _NOT_COUNTED:
        return _NOT_COUNTED[Review(earned.review)]
    return (
        "Pending" if earned.available_at is not None and at < earned.available_at else "Available"
    )


def _user_account(user_id: UUID, state: str) -> str:
    group = "Equity" if state in _NOT_COUNTED.values() else "Liabilities"
    return f"{group}:Rewards:{state}:User-{user_id}"


def utc_day(at: datetime) -> date:
    return at.astimezone(UTC).date()


def _escape_hledger(text: str) -> str:
    """Percent-encode what is not plain text in the description of a transaction.

    `;` begins a comment, and `|` separates the description's parts.
    """
    return "".join(
        quote(each, safe="", errors="surrogatepass")
        if each in "%;|" or not each.isprintable()
        else each
        for each in text
    )


def _quote_beancount(text: str) -> str:
    """Return a string. Characters that cannot be printed, such as line breaks, are replaced."""
    printable = "".join(
        each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in text
    )
    return '"' + printable.replace("\\", "\\\\").replace('"', '\\"') + '"'
