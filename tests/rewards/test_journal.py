"""Journals of the ledger, as independent programs read them."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from beancount.core.data import Open, Transaction
from beancount.parser import parser
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from journals import Balances, beancount, beancount_balances, hledger, hledger_balances
from referral.core import csv_values
from referral.core.reward_status import Kind
from referral.rewards import entries, entry_csv, export, journal
from referral.rewards.export import Format, Run
from referral.storage.models import RewardEntry
from rewards import Shop, open_shop
from support import Person, Service, ok

STRANGE = (
    'refund"; 2026-01-01 * "x"',
    "\\",
    '\\" | ; 100% [2026-01-01] date:2026-01-01, a:b',
    "=HYPERLINK(1)",
    "возврат 返金 \N{FACE WITH TEARS OF JOY}",
    "-1",
)
DAY = date(2026, 1, 31)
USER = UUID("a1b2c3d4-4f5a-4e6b-8c7d-0a1b2c3d4e5f")


@pytest.fixture
async def shop(service: Service) -> AsyncIterator[Shop]:
    """A shop whose entries are the only ones."""
    await RewardEntry.all().delete()
    async with open_shop(service) as shop:
        yield shop


class Story:
    """A shop whose users have entries of every kind. All of them are exported and compared."""

    def __init__(self, shop: Shop, folder: Path) -> None:
        self._shop = shop
        self._folder = folder
        self._people: list[Person] = []

    async def begin(self) -> None:
        """Earn, review, redeem and reverse in several units."""
        shop = self._shop
        await shop.rule()
        await shop.rule("bonus_for-invitee", beneficiary="invitee", unit="days", amount=3)
        await shop.rule("held", unit="RUB-kopecks", amount=10**9, hold_days=14)
        await shop.rule("pairs", occurs={"each": 2}, amount=7, unit="stars", hold_days=3)
        await shop.rule("capped", cap_total=20, amount=15, unit="stars")
        await shop.rule("reviewed", trigger="sale", review="all", amount=11, hold_days=14)
        inviter, invitee = await shop.invite()
        _, other = await shop.invite(inviter)
        third, fourth = await shop.invite()
        self._people = [inviter, invitee, other, third, fourth]
        for number, person in enumerate([invitee, invitee, other, fourth, invitee, fourth, other]):
            await shop.event(f"order~{number}", person)
        sales = [(await shop.event(f"sale:{number}", invitee, type="sale"))[0] for number in "1234"]
        for sale, decision in zip(sales, ("approve", "reject"), strict=False):
            ok(await shop.call("POST", f"/rewards/{sale['id']}/{decision}"))
        await shop.reverse("sale:4", STRANGE[0])
        await shop.reverse("order~0", STRANGE[1])
        for number, amount in enumerate((150, 100, 30)):
            made = await shop.redeem(f"r-{number}", inviter, amount=amount)
            assert made.status_code == 201
        assert (await shop.redeem("r-3", third, amount=199)).status_code == 201
        ok(await shop.call("POST", "/redemptions/r-1*/reverse"))
        await shop.reverse("order~3", STRANGE[2])
        await shop.reverse("order~2", STRANGE[3])

    async def go_on(self) -> None:
        """Reverse what became available, and what had been approved; earn and redeem again."""
        shop = self._shop
        await shop.reverse("order~1", STRANGE[4])
        await shop.reverse("sale:1", STRANGE[5])
        _, invitee, other, *_ = self._people
        await shop.event("order~7", invitee)
        await shop.event("order~8", other)
        redemption = {"unit": "RUB-kopecks", "amount": 10**9 - 1}
        assert (await shop.redeem("r-4", self._people[0], **redemption)).status_code == 201
        ok(await shop.call("POST", "/redemptions/r-0*/reverse"))

    async def balances(self) -> Balances:
        """Return what the API tells."""
        found = {}
        for person in self._people:
            for each in (await self._shop.rewards(person))["balances"]:
                if each["available"] or each["pending"]:
                    key = person.id(), f"{each['unit']}{self._shop.tag}".lower()
                    found[key] = (each["available"], each["pending"])
        return found

    async def entries(self) -> list[dict[str, Any]]:
        return [each for person in self._people for each in await self._shop.entries(person)]

    async def export(self, name: Format, **options: Any) -> Path:
        return await exported(self._shop.service, self._folder / name.value, name, **options)

    def today(self) -> date:
        return self._shop.service.clock().date()


async def exported(service: Service, file: Path, file_format: Format, **options: Any) -> Path:
    """Export to a file and return it."""
    with file.open("w", encoding="utf-8", newline="") as output:
        run = Run(
            write=output.write,
            progress=lambda _: None,
            now=service.clock(),
            **{"batch": 3} | options,
        )
        await export.export(run, file_format)
    return file


async def test_journals_have_the_balances_of_the_api(shop: Shop, tmp_path: Path) -> None:
    """Before and after the holds, for each user and unit, and at an earlier day of a later journal.

    Nothing is dated after the export.
    """
    story = Story(shop, tmp_path)
    await story.begin()
    shop.service.clock.move(days=5)
    earlier, earlier_day = await story.balances(), story.today()
    assert any(available < 0 for available, _ in earlier.values())
    assert any(pending for _, pending in earlier.values())
    assert hledger_balances(await story.export(Format.HLEDGER)) == earlier
    assert beancount_balances(await story.export(Format.BEANCOUNT)) == earlier

    shop.service.clock.move(days=20)
    await story.go_on()
    later = await story.balances()
    for name, balances in (
        (Format.HLEDGER, hledger_balances),
        (Format.BEANCOUNT, beancount_balances),
    ):
        file = await story.export(name)
        assert balances(file) == later
        assert balances(file, before=earlier_day + timedelta(days=1)) == earlier
        until = await story.export(name, end_day=earlier_day + timedelta(days=1))
        assert balances(until) == earlier


async def test_periods_of_a_journal_add_up(shop: Shop, tmp_path: Path) -> None:
    """A journal of some days has the ends of holds in these days, also of earlier entries."""
    story = Story(shop, tmp_path)
    await story.begin()
    shop.service.clock.move(days=5)
    parting = story.today()
    shop.service.clock.move(days=20)
    await story.go_on()
    for name, balances in (
        (Format.HLEDGER, hledger_balances),
        (Format.BEANCOUNT, beancount_balances),
    ):
        first = balances(await story.export(name, end_day=parting))
        second = balances(await story.export(name, first_day=parting))
        keys = first.keys() | second.keys()
        sums = {
            key: tuple(map(sum, zip(first.get(key, (0, 0)), second.get(key, (0, 0)), strict=True)))
            for key in keys
        }
        whole = await story.balances()
        assert {key: each for key, each in sums.items() if any(each)} == whole
    nothing = await story.export(Format.BEANCOUNT, first_day=story.today() + timedelta(days=1))
    assert [each for each in beancount(nothing) if not isinstance(each, Open)] == []


async def test_every_entry_is_in_the_journals(shop: Shop, tmp_path: Path) -> None:
    """With its id and cause. Nothing shows what a cap prevented, or counts what is in review."""
    story = Story(shop, tmp_path)
    await story.begin()
    shop.service.clock.move(days=20)
    everything = await story.entries()
    file = await story.export(Format.BEANCOUNT)
    transactions = [each for each in beancount(file) if isinstance(each, Transaction)]
    causes = {
        each.meta["entry"]: str(each.narration).replace(shop.tag, "") for each in transactions
    }
    assert causes == {each["id"]: each["cause"] for each in everything}
    assert set(STRANGE[:4]) <= set(causes.values())
    reversing = {each.meta["entry"]: each.meta.get("reverses") for each in transactions}
    assert reversing == {each["id"]: each["reverses"] for each in everything}
    journal_file = await story.export(Format.HLEDGER)
    printed = hledger(journal_file, "print", "--output-format", "csv")
    assert {row["code"] for row in csv.DictReader(io.StringIO(printed))} == causes.keys()
    uncounted = hledger(journal_file, "balance", "Equity:Rewards:(InReview|Rejected)", "--depth=3")
    assert uncounted.split() == ["--------------------", "0"]
    by_user = hledger(journal_file, "balance", "Equity:Rewards:(InReview|Rejected):User", "--flat")
    assert f'-11 "points{shop.tag}"  Equity:Rewards:InReview:User-' in by_user
    assert f'-11 "points{shop.tag}"  Equity:Rewards:Rejected:User-' in by_user


async def test_csv_has_the_fields_of_the_api(shop: Shop, tmp_path: Path) -> None:
    """A line for each entry, oldest first; texts are safe for spreadsheets, amounts are numbers."""
    story = Story(shop, tmp_path)
    await story.begin()
    await shop.reverse("order~6", "=1+1")
    text = (await story.export(Format.CSV)).read_text(encoding="utf-8").replace(shop.tag, "")
    assert '"=""=1+1"""' in text
    rows = list(csv.DictReader(io.StringIO(text)))
    expected = [
        {name: as_text(value) for name, value in each.items()} for each in await story.entries()
    ]
    unescaped = [{name: csv_values.unescape(value) for name, value in row.items()} for row in rows]
    assert sorted(map(repr, unescaped)) == sorted(
        repr({name: each[name] for name in entry_csv.FIELDS}) for each in expected
    )
    assert [row["created_at"] for row in rows] == sorted(row["created_at"] for row in rows)
    assert {row["amount"] for row in rows if row["status"] == "redeemed"} == {"-150", "-30", "-199"}
    tomorrow = story.today() + timedelta(days=1)
    assert len((await story.export(Format.CSV, first_day=tomorrow)).read_text().splitlines()) == 1
    assert (
        len((await story.export(Format.CSV, end_day=story.today())).read_text().splitlines()) == 1
    )


def as_text(value: object) -> str:
    match value:
        case None:
            return ""
        case list():
            return " ".join(value)
        case _:
            return str(value)


def test_the_columns_are_the_fields_of_an_entry() -> None:
    assert sorted(entry_csv.FIELDS) == sorted(
        each.name for each in structs.fields(entries.EntryView)
    )


def redemption(cause: str, unit: str) -> journal.Transaction:
    """Return the transaction of a redemption."""
    now = datetime(DAY.year, DAY.month, DAY.day, tzinfo=UTC)
    entry = RewardEntry(
        id=USER,
        kind=Kind.REDEMPTION,
        user_id=USER,
        unit=unit,
        amount=-5,
        cause=cause,
        created_at=now,
    )
    (made,) = journal.transactions(entry, None, now=now)
    return made


UNITS = st.from_regex(r"[A-Za-z][A-Za-z0-9_-]{0,22}[A-Za-z0-9]", fullmatch=True)


@given(cause=st.text() | st.text('\\"\n;| '), unit=UNITS | st.sampled_from(["true", "Null"]))
def test_any_cause_and_unit_are_one_transaction(cause: str, unit: str) -> None:
    """Beancount reads the cause as it is, except for characters that cannot be printed."""
    text = journal.format_beancount(redemption(cause, unit))
    found, errors, _ = parser.parse_string(text)
    assert errors == []
    (transaction,) = found
    expected = "".join(
        each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in cause
    )
    assert isinstance(transaction, Transaction)
    assert (transaction.payee, transaction.narration) == ("Redemption", expected)
    units = [each.units for each in transaction.postings if each.units is not None]
    assert [each.number for each in units] == [5, -5]
    assert {each.currency.removeprefix("UNIT.") for each in units} == {unit.upper()}


@given(cause=st.text())
def test_a_description_for_hledger_is_one_line(cause: str) -> None:
    header = journal.format_hledger(redemption(cause, "points")).split("\n    ")[0]
    assert header.isprintable()
    assert ";" not in header
    assert header.count("|") == 1


def test_hledger_reads_strange_causes(tmp_path: Path) -> None:
    """As text: none begins a comment, a date, another transaction or a directive."""
    causes = [*STRANGE, "", "(x) ! 2026-02-01=2026-02-02", "\n2026-02-01 x\n", "\u2028include x"]
    file = tmp_path / "journal"
    file.write_text(
        "".join(journal.format_hledger(redemption(each, "points")) for each in causes),
        encoding="utf-8",
    )
    rows = list(csv.DictReader(io.StringIO(hledger(file, "print", "--output-format", "csv"))))
    assert len(rows) == 2 * len(causes)
    assert {(row["date"], row["code"]) for row in rows} == {(str(DAY), str(USER))}
    assert {row["comment"] for row in rows} == {""}
    assert rows[2 * 4]["description"] == f"Redemption | {STRANGE[4]}"
