"""Files of users."""

from __future__ import annotations

import csv
import os
import secrets
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, Self, TextIO

import rich_click as click
from rich.console import Console
from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

from referral.app import system_clock
from referral.cli import common
from referral.import_export import imports, user_file
from referral.import_export.run import Finding, Import, Progress
from referral.import_export.user_file import Format, Unreadable
from referral.settings import Settings

_STREAM = "-"
_OWNER_ALONE = 0o600  # phones, names and emails

_format_option = click.option(
    "--format", "form", type=click.Choice([each.value for each in Format]), help="Else by ending."
)


@click.command("import")
@click.argument("file")
@_format_option
@click.option("--report", metavar="FILE", help="Where to tell of rows; else FILE.report.csv.")
def import_(file: str, form: str | None, report: str | None) -> None:
    """Take in the users of FILE: CSV with a header, or JSON Lines; - reads standard input.

    Columns: phone,name,email,invite_code,inviter_code,created_at. Safe to run again, and beside a
    running service; docs/transfer.md has the rules.
    """
    kind = _format(file, form)
    path = Path(report or ("import" if file == _STREAM else file) + ".report.csv")

    with _opened(file) as source, Report(path) as found, progress_bar(source) as progress:

        async def work(settings: Settings) -> Import:
            run = new_import(settings, report=found.add, progress=progress)
            await imports.import_users(user_file.parse(source, kind), run)
            return run

        try:
            run = common.with_database(work)
        except Unreadable as error:
            common.fail(f"{file}: {error}; nothing was imported")
    tell(run)
    if run.refused or run.links_refused:
        common.fail(f"not everything was taken: {path} says what to correct, line by line")
    if found.count:
        click.echo(f"{path} has the old and the new codes")


@click.command()
@click.argument("file")
@_format_option
def export(file: str, form: str | None) -> None:
    """Write all users to FILE: CSV with a header, or JSON Lines; - writes standard output."""
    kind = _format(file, form)

    async def work(_: Settings) -> int:
        with _written(file) as write, progress_bar() as progress:
            return await imports.export_users(write, kind, progress)

    done = common.with_database(work)
    click.echo(f"{done:,} users", err=file == _STREAM)


def new_import(
    settings: Settings, *, report: Callable[[Finding], None], progress: Progress
) -> Import:
    """An import under these settings."""
    return Import(
        rules=settings.phone_rules,
        test_phones=settings.test_phones,
        admins_allowed=not settings.is_open_demo,
        now=system_clock(),
        invite_url=settings.invite_url,
        randbelow=secrets.randbelow,
        token_bytes=secrets.token_bytes,
        report=report,
        progress=progress,
    )


def tell(run: Import) -> None:
    """What came of it."""
    click.echo(
        f"users        {run.added:,} added, {run.there:,} there already, {run.refused:,} refused\n"
        f"invitations  {run.linked:,} added, {run.linked_before:,} there already, "
        f"{run.links_refused:,} refused\n"
        f"codes        {run.codes_changed:,} changed"
    )


class Report:
    """A file of what was refused or changed. There is none where there is nothing to tell."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.count = 0

    def __enter__(self) -> Self:
        with _told(f"{self._path} (--report names another)"):
            self._file: TextIO = _private(self._path)
        self._writer = csv.writer(self._file)
        self._writer.writerow(Finding._fields)
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        if not self.count:
            self._path.unlink(missing_ok=True)

    def add(self, finding: Finding) -> None:
        self.count += 1
        self._writer.writerow(finding)


@contextmanager
def progress_bar(source: BinaryIO | None = None) -> Iterator[Progress]:
    """A bar for each thing that is done, on a terminal alone.

    source: a file whose rows are being read; how many there are is not known before its end.
    """
    console = Console(stderr=True)
    size = os.fstat(source.fileno()).st_size if source is not None else 0
    columns = (
        TextColumn("{task.description:<12}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[done]:,}"),
        TimeRemainingColumn(),
    )
    with Bars(*columns, console=console, disable=not console.is_terminal) as bars:
        tasks: dict[str, Any] = {}

        def show(what: str, done: int, total: int | None) -> None:
            if bars.disable:
                return
            if what not in tasks:
                tasks[what] = bars.add_task(what, done=0)
            if total is None and source is not None and source.seekable():
                bars.update(tasks[what], completed=source.tell(), total=size, done=done)
            else:
                bars.update(tasks[what], completed=done, total=total, done=done)

        yield show


def _format(file: str, form: str | None) -> Format:
    found = Format(form) if form else Format.of(file)
    if found is None:
        common.fail(f"{file}: neither .csv nor .jsonl; say which with --format csv or jsonl")
    return found


def _opened(file: str) -> BinaryIO:
    with _told(file):
        return os.fdopen(os.dup(0) if file == _STREAM else os.open(file, os.O_RDONLY), "rb")


@contextmanager
def _written(file: str) -> Iterator[Callable[[str], None]]:
    """Writes to a file that is there once it is whole, for its owner alone."""
    draft = Path(f"{file}.part")
    with _told(file):
        output = _standard_output() if file == _STREAM else _private(draft)

    def write(text: str) -> None:
        with _told(file):
            output.write(text)
            output.flush()

    try:
        with output:
            yield write
        if file != _STREAM:
            with _told(file):
                draft.replace(file)
    finally:
        if file != _STREAM:
            draft.unlink(missing_ok=True)


@contextmanager
def _told(file: str) -> Iterator[None]:
    """What the system does not do with a file is told as the file's."""
    try:
        yield
    except OSError as error:
        common.fail(f"{file}: {error.strerror}")


def _standard_output() -> TextIO:
    return os.fdopen(sys.stdout.fileno(), "w", encoding="utf-8", newline="", closefd=False)


def _private(path: Path) -> TextIO:
    with suppress(FileNotFoundError):
        # Of an earlier run, perhaps for others to read
        path.unlink()
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _OWNER_ALONE)
    return os.fdopen(descriptor, "w", encoding="utf-8", newline="")
