"""Bring a virtual environment up to a file of requirements, and say what is being done.

`python scripts/environment.py FOLDER REQUIREMENTS [SOURCE]`. The environment gets the Python that
runs this. It is made anew if it was moved, copied, interrupted or made by another Python.
SOURCE: a folder that it imports from.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections import deque
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from time import monotonic
from typing import NamedTuple, NoReturn

COMPLETE = "complete.json"
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor} in {sys.base_prefix}"
_NEWS_SECONDS = 5
_LAST_LINES = 15  # of pip's, where it fails


class State(NamedTuple):
    """What an environment was when its making ended. installed: digests of requirements."""

    place: str
    python: str
    installed: dict[str, str]


def main(folder: Path, requirements: Path, source: Path | None) -> None:
    digest = sha256(requirements.read_bytes()).hexdigest()
    state = read(folder)
    reason = why_anew(folder, state)
    if reason is None and state is not None and state.installed.get(requirements.name) == digest:
        return
    if reason is not None or state is None:
        make(folder, reason)
        state = State(os.path.realpath(folder), PYTHON, {})
    # Whoever interrupts what follows finds no state, and begins anew
    (folder / COMPLETE).unlink(missing_ok=True)
    install(folder, requirements)
    if source is not None:
        link(folder, source)
    state.installed[requirements.name] = digest
    (folder / COMPLETE).write_text(json.dumps(state._asdict()), encoding="utf-8")


def read(folder: Path) -> State | None:
    try:
        return State(**json.loads((folder / COMPLETE).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def why_anew(folder: Path, state: State | None) -> str | None:
    """Why the environment cannot be used as it is; None if it can. Empty if there is none."""
    if not folder.exists():
        return ""
    if state is None:
        return "it is not complete"
    if state.place != os.path.realpath(folder):
        return "the folder was moved or copied"
    if state.python != PYTHON:
        return f"it was made by Python {state.python}"
    if not os.access(folder / "bin" / "python", os.X_OK):
        return "its Python is gone"
    return None


def make(folder: Path, reason: str | None) -> None:
    say(f"Making {folder} with Python {PYTHON}" + (f": {reason}" if reason else ""))
    if find_spec("venv") is None or find_spec("ensurepip") is None:
        package = f"python{PYTHON.split(maxsplit=1)[0]}-venv"
        give_up(f"this Python has no venv: on Debian and Ubuntu, apt-get install {package}")
    if subprocess.run([base_python(), "-m", "venv", "--clear", folder], check=False).returncode:
        give_up(f"{folder} could not be made, for the reason above")


def base_python() -> str | Path:
    """The Python outside every virtual environment: this may run in the one it replaces."""
    major, minor, *_ = sys.version_info
    named = Path(sys.base_prefix, "bin", f"python{major}.{minor}")
    return named if named.exists() else sys.executable


def install(folder: Path, requirements: Path) -> None:
    number = len(re.findall(r"^[\w.-]+(?:\[.+\])?==", requirements.read_text(), re.MULTILINE))
    say(f"Installing {number} packages of {requirements}: about a minute the first time")
    pip = subprocess.Popen(
        [
            *(folder / "bin" / "python", "-m", "pip", "install", "--no-input"),
            *("--require-hashes", "--requirement", requirements),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
    )
    assert pip.stdout is not None
    fetched, told = 0, monotonic()
    last: deque[str] = deque(maxlen=_LAST_LINES)
    for line in pip.stdout:
        last.append(line)
        if line.startswith("Collecting "):
            fetched += 1
            if monotonic() - told > _NEWS_SECONDS:
                say(f"  {fetched} of {number} fetched")
                told = monotonic()
        elif line.startswith("Installing collected packages"):
            say(f"  unpacking {len(line.split(','))}")
        elif "Retrying" in line:
            say(f"  {line.strip()}")
    if pip.wait():
        sys.stderr.writelines(last)
        give_up(f"{requirements} could not be installed, for pip's reason above")


def link(folder: Path, source: Path) -> None:
    """Let the environment import from the source, wherever both are moved together.

    By a relative path, which is also ASCII whatever the folder is called.
    """
    major, minor, *_ = sys.version_info
    packages = folder / "lib" / f"python{major}.{minor}" / "site-packages"
    (packages / "referral.pth").write_text(f"{os.path.relpath(source, packages)}\n")


def say(line: str) -> None:
    print(line, flush=True)


def give_up(why: str) -> NoReturn:
    sys.exit(f"environment: {why}")


if __name__ == "__main__":
    given = [Path(argument) for argument in sys.argv[1:]]
    try:
        main(given[0], given[1], given[2] if given[2:] else None)
    except KeyboardInterrupt:
        sys.exit(130)
