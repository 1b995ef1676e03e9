"""The tables of docs/openid-connect.md agree with the tests of the conformance suite's modules."""

from __future__ import annotations

import re

from processes import ROOT

PLANS = {"Config": 1, "Basic": 38, "RP-Initiated Logout": 11}
ROW = re.compile(r"^\| (oidcc-[a-z0-9-]+) \| [^|]+ \| `(test_\w+)` \|$", re.MULTILINE)
MAX_NAME_LENGTH = 59

DOCUMENT = (ROOT / "docs" / "openid-connect.md").read_text()


def test_every_module_of_the_plans_has_its_test() -> None:
    """And every such test its row."""
    files = (ROOT / "tests" / "openid").glob("test_conformance_*.py")
    tests = [
        name
        for file in files
        for name in re.findall(r"^async def (test_\w+)", file.read_text(), re.MULTILINE)
    ]
    assert sorted(test for _, test in ROW.findall(DOCUMENT)) == sorted(tests)


def test_a_test_of_the_conformance_suite_is_named_after_it() -> None:
    """Names that would be too long end after a word."""
    for module, test in ROW.findall(DOCUMENT):
        name = f"test_{module.replace('-', '_')}"
        while len(name) > MAX_NAME_LENGTH:
            name = name.rpartition("_")[0]
        assert test == name


def test_the_tables_have_every_module_once() -> None:
    for plan, count in PLANS.items():
        table = DOCUMENT.partition(f"\n## {plan}\n")[2].partition("\n## ")[0]
        modules = [module for module, _ in ROW.findall(table)]
        assert len(modules) == len(set(modules)) == count
