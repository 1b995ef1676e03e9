"""Create a virtual environment or bring it up to date with a requirements file.

`python scripts/environment.py FOLDER REQUIREMENTS [SOURCE]`. The environment gets the Python that
runs this script. It is created again if it was moved or copied, if its creation was interrupted, or
if another Python made it. SOURCE: a folder that the environment imports from.
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

# Written last, so that an interrupted run leaves none
STATE_FILE = "complete.json"
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor} in {sys.base_prefix}"
_PROGRESS_SECONDS = 5
_SHOWN_LINES = 15  # of pip's output, if it fails


class State(NamedTuple):
    """A complete environment. installed: the digests of requirements files by their names."""

    place: str
    python: str
    installed: dict[str, str]


def main(folder: Path, requirements: Path, source: Path | None) -> None:
    digest = sha256(requirements.read_bytes()).hexdigest()
    state = read_state(folder)
    reason = why_unusable(folder, state)
    if reason is None and state is not None and state.installed.get(requirements.name) == digest:
        if source is not None:
            add_command(folder)
        return
    if reason is not None or state is None:
        create(folder, reason)
        state = State(os.path.realpath(folder), PYTHON, {})
    (folder / STATE_FILE).unlink(missing_ok=True)
    install(folder, requirements)
    if source is not None:
        link(folder, source)
        add_command(folder)
    state.installed[requirements.name] = digest
    (folder / STATE_FILE).write_text(json.dumps(state._asdict()), encoding="utf-8")


def read_state(folder: Path) -> State | None:
    try:
        return State(**json.loads((folder / STATE_FILE).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def why_unusable(folder: Path, state: State | None) -> str | None:
    """Return why the environment cannot be used: None if it can, empty if it does not exist."""
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


def create(folder: Path, reason: str | None) -> None:
    say(f"Creating {folder} with Python {PYTHON}" + (f": {reason}" if reason else ""))
    if find_spec("venv") is None or find_spec("ensurepip") is None:
        package = f"python{PYTHON.split(maxsplit=1)[0]}-venv"
        fail(f"this Python has no venv: on Debian and Ubuntu, apt-get install {package}")
    if subprocess.run([base_python(), "-m", "venv", "--clear", folder], check=False).returncode:
        fail(f"{folder} could not be created, for the reason above")


def base_python() -> str | Path:
    """Return a Python outside of virtual environments: this one may run in the one it replaces."""
    major, minor, *_ = sys.version_info
    python = Path(sys.base_prefix, "bin", f"python{major}.{minor}")
    return python if python.exists() else sys.executable


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
    fetched, shown_at = 0, monotonic()
    last_lines: deque[str] = deque(maxlen=_SHOWN_LINES)
    for line in pip.stdout:
        last_lines.append(line)
        if line.startswith("Collecting "):
            fetched += 1
            if monotonic() - shown_at > _PROGRESS_SECONDS:
                say(f"  {fetched} of {number} fetched")
                shown_at = monotonic()
        elif line.startswith("Installing collected packages"):
            say(f"  unpacking {len(line.split(','))}")
        elif "Retrying" in line:
            say(f"  {line.strip()}")
    if pip.wait():
        sys.stderr.writelines(last_lines)
        fail(f"{requirements} could not be installed, for pip's reason above")


def link(folder: Path, source: Path) -> None:
    """Make the environment import from the source.

    The path is relative, so that both can be moved together, and so that it is ASCII whatever the
    folder's name is.
    """
    major, minor, *_ = sys.version_info
    packages = folder / "lib" / f"python{major}.{minor}" / "site-packages"
    (packages / "referral.pth").write_text(f"{os.path.relpath(source, packages)}\n")


def add_command(folder: Path) -> None:
    """Add `bin/referral`, which works as after `pip install .`, also if the folder is moved."""
    command = folder / "bin" / "referral"
    if not command.exists():
        command.write_text('#!/bin/sh\nexec "$(dirname "$0")/python" -m referral "$@"\n')
        command.chmod(0o755)


def say(line: str) -> None:
    print(line, flush=True)


def fail(problem: str) -> NoReturn:
    sys.exit(f"environment: {problem}")


if __name__ == "__main__":
    paths = [Path(argument) for argument in sys.argv[1:]]
    try:
        main(paths[0], paths[1], paths[2] if paths[2:] else None)
    except KeyboardInterrupt:
        sys.exit(130)
