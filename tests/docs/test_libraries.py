"""The table of client libraries in docs/integrate.md agrees with the lock files."""

from __future__ import annotations

import json
import re

from processes import ROOT

ROW = re.compile(r"^\| [^|`]*`([\w@/-]+)`[^|]* \| ([\d.]+) \|", re.MULTILINE)
PYTHON = (
    "requirements-dev.txt",
    "tests/interop/requirements.txt",
    "tests/interop/requirements-mozilla.txt",
)
NODE = ("tests/integrate", "tests/interop")
# Debian's, which has no lock file
DEBIAN = {"mod_auth_openidc"}


def test_docs_name_the_tested_versions_of_libraries() -> None:
    listed = dict(ROW.findall((ROOT / "docs" / "integrate.md").read_text()))
    assert {"openid-client", "Authlib", "oidc-client-ts", *DEBIAN} <= listed.keys()
    versions = {
        **{name: version for file in NODE for name, version in node_versions(file).items()},
        **{name: version for file in PYTHON for name, version in python_versions(file).items()},
    }
    for name, version in listed.items():
        if name not in DEBIAN:
            assert versions[name.lower()] == version, name


def node_versions(folder: str) -> dict[str, str]:
    packages = json.loads((ROOT / folder / "package-lock.json").read_text())["packages"]
    return {
        name.removeprefix("node_modules/"): package["version"]
        for name, package in packages.items()
        if name and "/node_modules/" not in name
    }


def python_versions(file: str) -> dict[str, str]:
    locked = (ROOT / file).read_text()
    return dict(re.findall(r"^([\w.-]+)(?:\[.+\])?==(\S+)", locked, re.MULTILINE))
