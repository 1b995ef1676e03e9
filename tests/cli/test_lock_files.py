"""The lock files can be installed later, whatever has been released meanwhile."""

from __future__ import annotations

import fcntl
import json
import re
import shutil
import subprocess
import sys
from hashlib import sha256
from pathlib import Path
from zipfile import ZipFile

import pytest

from processes import ROOT

LOCK_FILES = (
    "requirements.txt",
    "requirements-dev.txt",
    "bench/requirements.txt",
    "tests/interop/requirements.txt",
    "tests/interop/requirements-mozilla.txt",
)
# The pip of Python 3.11.0, the oldest that we support and which runs on no later Python, and a
# later pip. (pip 24.2 of Python 3.13.0 never looked outside the file)
PIPS = {
    "22.3": "1daab4b8d3b97d1d763caeb01a4640a2250a0ea899e257b1e44b9eded91e15ab",
    "23.2.1": "7ccf472345f20d35bdc9d1841ff5f313260c2c33fe417f48c30ac46cccabf5be",
}
if sys.version_info >= (3, 12):
    del PIPS["22.3"]
SECONDS = 300


@pytest.fixture(scope="session")
def wheels() -> Path:
    """Return a folder with every locked package, an empty later release of each, and the pips."""
    locked = "".join((ROOT / name).read_text() for name in LOCK_FILES)
    key = sha256(f"{sys.version_info[:2]} {PIPS} {locked}".encode()).hexdigest()[:12]
    folder = ROOT / ".cache" / f"wheels-{key}"
    folder.parent.mkdir(exist_ok=True)
    with (folder.parent / "wheels.lock").open("w") as lock:
        # Another test process may be doing the same
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "complete").exists():
            for earlier in folder.parent.glob("wheels-*"):
                shutil.rmtree(earlier)
            folder.mkdir()
            _fetch(folder)
            for wheel in list(folder.glob("*.whl")):
                _release_later(wheel)
            (folder / "complete").touch()
    return folder


def _fetch(folder: Path) -> None:
    files = [ROOT / name for name in LOCK_FILES[1:]]
    for version, digest in PIPS.items():
        files.append(folder / f"pip-{version}.txt")
        files[-1].write_text(f"pip=={version} --hash=sha256:{digest}\n")
    for file in files:
        options = ("--no-deps", "--only-binary=:all:", "--require-hashes", "--dest", folder)
        subprocess.run(
            [sys.executable, "-m", "pip", "download", "--quiet", *options, "--requirement", file],
            check=True,
            timeout=SECONDS,
        )


def _release_later(wheel: Path) -> None:
    """Make a release 9999 with the same dependencies as this one."""
    name, version, *_ = wheel.name.split("-")
    with ZipFile(wheel) as archive:
        metadata = archive.read(f"{name}-{version}.dist-info/METADATA").decode()
    with ZipFile(wheel.parent / f"{name}-9999-py3-none-any.whl", "w") as archive:
        info = f"{name}-9999.dist-info"
        later = re.sub(r"^Version: .*$", "Version: 9999", metadata, count=1, flags=re.MULTILINE)
        archive.writestr(f"{info}/METADATA", later)
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")


def resolve(pip: str, requirements: Path, wheels: Path) -> subprocess.CompletedProcess[str]:
    """Resolve as an installation does, only from the wheels; nothing is built or unpacked."""
    options = ("--dry-run", "--ignore-installed", "--no-index", "--only-binary=:all:")
    return subprocess.run(
        [
            *(sys.executable, "-I", wheels / f"pip-{pip}-py3-none-any.whl" / "pip", "--isolated"),
            *("install", "--quiet", *options, "--find-links", wheels),
            *("--require-hashes", "--requirement", requirements),
        ],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


@pytest.mark.parametrize("name", LOCK_FILES)
@pytest.mark.parametrize("pip", PIPS)
def test_pip_stays_inside_the_file(pip: str, name: str, wheels: Path) -> None:
    """Although there is a later release of every package.

    An early pip takes extras from outside the file unless the locked names contain them.
    """
    installed = resolve(pip, ROOT / name, wheels)
    assert installed.returncode == 0, installed.stderr


def test_a_lock_file_without_extras_is_detected(wheels: Path, tmp_path: Path) -> None:
    stripped = tmp_path / "requirements.txt"
    locked = (ROOT / "requirements-dev.txt").read_text()
    stripped.write_text(re.sub(r"^([\w.-]+)\[.+\]==", r"\1==", locked, flags=re.MULTILINE))
    installed = resolve("23.2.1", stripped, wheels)
    assert installed.returncode != 0
    assert "must have their versions pinned with ==" in installed.stderr


@pytest.mark.parametrize(
    "folder",
    [
        *("postman", "tests/integrate", "tests/browser", "tests/interop"),
        *("bench/peers/better-auth", "bench/peers/better-auth-provider"),
    ],
)
def test_npm_takes_exact_packages_from_any_registry(folder: str) -> None:
    """The settings of npm choose the registry; digests say which packages are accepted."""
    packages = json.loads((ROOT / folder / "package-lock.json").read_text())["packages"]
    wanted = packages.pop("")
    assert packages
    for version in {**wanted.get("dependencies", {}), **wanted.get("devDependencies", {})}.values():
        assert re.fullmatch(r"\d+\.\d+\.\d+", version)
    for name, package in packages.items():
        assert "resolved" not in package, name
        assert package["integrity"].startswith("sha512-"), name
