"""Importing and exporting users."""

from __future__ import annotations

import csv
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Self, TextIO

import rich_click as click
from rich.console import Console
from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

from referral.assembly import system_clock
from referral.cli import common, files
from referral.import_export import imports, user_file
from referral.import_export.run import ImportRun, Progress, ReportRow
from referral.import_export.user_file import Format, UnreadableFile
from referral.settings import Settings

_format_option = click.option(
    "--format",
    "format_name",
    type=click.Choice([each.value for each in Format]),
    help="Default: by the file's extension.",
)


@click.command("import")
@click.argument("file")
@_format_option
@click.option(
    "--report",
    metavar="FILE",
    help="File for a list of what was refused or changed. Default: FILE.report.csv.",
)
def import_(file: str, format_name: str | None, report: str | None) -> None:
    """Import users from FILE: CSV with a header, or JSON Lines; - reads standard input.

    Columns: phone,name,email,invite_code,inviter_code,created_at. Safe to run again, and to run
    beside a running service. docs/import-export.md has the rules.
    """
    file_format = _choose_format(file, format_name)
    # Before an earlier report is overwritten
    common.load_settings()
    path = Path(report or ("import" if file == files.STREAM else file) + ".report.csv")

    with _open_to_read(file) as source, Report(path) as rows, progress_bar(source) as progress:

        async def work(settings: Settings) -> ImportRun:
            run = new_import(settings, report=rows.add, progress=progress)
            await imports.import_users(user_file.parse(source, file_format), run)
            return run

        try:
            run = common.run_with_database(work)
        except UnreadableFile as error:
            common.fail(f"{file}: {error}; nothing was imported")
    print_counts(run)
    if run.refused or run.links_refused:
        common.fail(
            f"not everything was imported: {path} says what to correct; correct it, then run the "
            "command again"
        )
    if rows.count:
        click.echo(f"{path} lists the old and the new codes")


@click.command()
@click.argument("file")
@_format_option
def export(file: str, format_name: str | None) -> None:
    """Export all users to FILE: CSV with a header, or JSON Lines; - writes standard output."""
    file_format = _choose_format(file, format_name)

    async def work(_: Settings) -> int:
        with files.open_to_write(file) as write, progress_bar() as progress:
            return await imports.export_users(write, file_format, progress)

    exported = common.run_with_database(work)
    click.echo(f"{exported:,} users", err=file == files.STREAM)


def new_import(
    settings: Settings, *, report: Callable[[ReportRow], None], progress: Progress
) -> ImportRun:
    """Prepare an import under these settings."""
    return ImportRun(
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


def print_counts(run: ImportRun) -> None:
    """Print how many users, invitations and codes were added, refused and so on."""
    click.echo(
        f"users        {run.added:,} added, {run.existing:,} existing, {run.refused:,} refused\n"
        f"invitations  {run.linked:,} added, {run.already_linked:,} existing, "
        f"{run.links_refused:,} refused\n"
        f"codes        {run.codes_changed:,} changed"
    )


class Report:
    """A CSV file of what was refused or changed. It is deleted if it has no rows."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.count = 0

    def __enter__(self) -> Self:
        with files.failing_with(f"{self._path} (--report names another)"):
            self._file: TextIO = files.create_private(self._path)
        self._writer = csv.writer(self._file)
        self._writer.writerow(ReportRow._fields)
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        if not self.count:
            self._path.unlink(missing_ok=True)

    def add(self, row: ReportRow) -> None:
        self.count += 1
        self._writer.writerow(row)


@contextmanager
def progress_bar(source: BinaryIO | None = None) -> Iterator[Progress]:
    """Show a progress bar for each phase, if standard error is a terminal.

    source: the file that is being read. Its bar follows the position in the file, because the
    number of rows is only known at the end.
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

        def show(phase: str, done: int, total: int | None) -> None:
            if bars.disable:
                return
            if phase not in tasks:
                tasks[phase] = bars.add_task(phase, done=0)
            if total is None and source is not None and source.seekable():
                bars.update(tasks[phase], completed=source.tell(), total=size, done=done)
            else:
                bars.update(tasks[phase], completed=done, total=total, done=done)

        yield show


def _choose_format(file: str, name: str | None) -> Format:
    chosen = Format(name) if name else Format.from_name(file)
    if chosen is None:
        common.fail(f"{file}: is neither .csv nor .jsonl; add --format csv or --format jsonl")
    return chosen


def _open_to_read(file: str) -> BinaryIO:
    with files.failing_with(file):
        return os.fdopen(os.dup(0) if file == files.STREAM else os.open(file, os.O_RDONLY), "rb")
