"""Files that commands write: readable only by their owner, and complete if they exist."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from referral.cli import common

STREAM = "-"
"""The name that stands for standard input and output."""

_OWNER_ONLY = 0o600  # the files hold phones, names and emails


@contextmanager
def open_to_write(file: str) -> Iterator[Callable[[str], None]]:
    """Open a file that only its owner can read, and that appears only once it is complete."""
    draft = Path(f"{file}.part")
    with failing_with(file):
        output = _standard_output() if file == STREAM else create_private(draft)

    def write(text: str) -> None:
        with failing_with(file):
            output.write(text)
            output.flush()

    try:
        with output:
            yield write
        if file != STREAM:
            with failing_with(file):
                draft.replace(file)
    finally:
        if file != STREAM:
            draft.unlink(missing_ok=True)


@contextmanager
def failing_with(file: str) -> Iterator[None]:
    """If there is an OSError, print it in a line that names the file, and exit."""
    try:
        yield
    except OSError as error:
        common.fail(f"{file}: {error.strerror}")


def create_private(path: Path) -> TextIO:
    with suppress(FileNotFoundError):
        # A file of an earlier run may be readable by others
        path.unlink()
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _OWNER_ONLY)
    return os.fdopen(descriptor, "w", encoding="utf-8", newline="")


def _standard_output() -> TextIO:
    return os.fdopen(sys.stdout.fileno(), "w", encoding="utf-8", newline="", closefd=False)
