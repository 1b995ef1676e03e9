"""Balances of users, as hledger and beancount compute them from a journal."""

from __future__ import annotations

import csv
import os
import shutil
import subprocess
from collections import defaultdict
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import TypeAlias

from beancount import loader
from beancount.core import data

from processes import ROOT

Balances: TypeAlias = dict[tuple[str, str], tuple[int, int]]
"""The available and pending sums, by the user's id and the unit in lower case. Without zeros."""

_UNPACKED = ROOT / ".cache" / "hledger" / "usr" / "bin"


def hledger_balances(journal: Path, *, before: date = date.max) -> Balances:
    return _balances(_hledger_sums(journal, before))


def beancount_balances(journal: Path, *, before: date = date.max) -> Balances:
    return _balances(_beancount_sums(journal, before))


def hledger(journal: Path, *arguments: str) -> str:
    """Run a command of hledger and return its output."""
    found = shutil.which("hledger", path=f"{os.environ['PATH']}:{_UNPACKED}")
    assert found is not None, "hledger is missing: `make hledger` fetches it on Debian and Ubuntu"
    finished = subprocess.run(
        [found, "--file", journal, *arguments],
        env={"LC_ALL": "C.UTF-8"},
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    return finished.stdout


def beancount(journal: Path) -> list[data.Directive]:
    """Return what beancount reads from a journal that it finds no error in."""
    entries, errors, _ = loader.load_file(str(journal))
    assert errors == []
    return list(entries)


def _hledger_sums(journal: Path, before: date) -> Iterator[tuple[str, str, int]]:
    arguments = ("--flat", "--no-total", "--output-format", "csv", "--end", str(before))
    printed = hledger(journal, "balance", *arguments)
    for account, amounts in list(csv.reader(printed.splitlines()))[1:]:
        for each in amounts.split(", "):
            amount, _, unit = each.partition(" ")
            yield account, unit.strip('"'), int(amount)


def _beancount_sums(journal: Path, before: date) -> Iterator[tuple[str, str, int]]:
    for entry in data.filter_txns(beancount(journal)):
        for each in entry.postings if entry.date < before else ():
            assert each.units is not None
            assert each.units.number is not None
            yield each.account, each.units.currency, int(each.units.number)


def _balances(sums: Iterator[tuple[str, str, int]]) -> Balances:
    found: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0])
    for account, unit, amount in sums:
        group, _, user = account.rpartition(":User-")
        if group.startswith("Liabilities:Rewards:"):
            place = ("Available", "Pending").index(group.rpartition(":")[2])
            found[user, unit.lower()][place] -= amount
    return {key: (each[0], each[1]) for key, each in found.items() if any(each)}
