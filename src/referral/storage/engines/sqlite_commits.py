"""Group commit for SQLite: several transactions end with one COMMIT.

A COMMIT waits for the disk, and SQLite has one writer at a time. So a transaction that ends while
others wait for the writer lock does not commit. It opens a *group*: it leaves its transaction open
inside the savepoint `shared`, each waiting writer joins with a savepoint of its own, and one COMMIT
ends them all. If no writer waits, a transaction is a plain BEGIN IMMEDIATE and COMMIT.

Rules:

- No call returns before the COMMIT of the group that was open when its statement ended. That holds
  for reads and for errors too, since they may come from what a member of the group wrote. If the
  COMMIT fails, every one of these calls raises Unavailable.
- A member that fails is rolled back to its own savepoint, which undoes nothing of the others. If
  that rollback fails, the whole group is rolled back.
- On a full disk or an I/O error SQLite may roll the whole transaction back by itself. Then the
  savepoint `shared` is gone, so RELEASE fails and nothing is committed.
- Only writers that waited when the group was opened can join, because the task that commits waits
  behind them for the lock, which is fair. And a group takes no more members after GROUP_SECONDS,
  since other processes wait for the file meanwhile.

Locks are acquired in this order, and released before waiting for a group's COMMIT:

1. the writer lock of this process, from before waiting for the file until the write has ended;
2. the connection's lock, which reads take too, so never while waiting for the file;
3. the lock of the file, by BEGIN IMMEDIATE, against other processes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from contextlib import suppress
from time import monotonic
from typing import Any, Literal, TypeVar

from tortoise.backends.sqlite.client import SqliteClient

from referral.storage.engines import errors
from referral.storage.engines.sqlite_statements import translate_errors
from referral.storage.engines.tasks import TaskSet

T = TypeVar("T")

GROUP_SECONDS = 0.05
FIRST_WAIT, LONGEST_WAIT = 0.002, 0.01  # seconds between tries to lock the file
# For how long after the file was locked by another process to make pauses for others
_CONTENTION_SECONDS = 1
_FAILURES = (*errors.SQLITE_ERRORS, errors.Unavailable, ValueError)
"""Errors of a statement; ValueError if the connection is closed."""


class WriterLock(asyncio.Lock):
    """A fair lock that knows how many tasks wait for it."""

    waiting = 0

    async def acquire(self) -> Literal[True]:
        self.waiting += 1
        try:
            return await super().acquire()
        finally:
            self.waiting -= 1


class CommitGroup:
    """Transactions that end with one COMMIT.

    is_broken: whether a member failed and could not be rolled back. deadline: until when writers
    may join, by `monotonic`.
    """

    def __init__(self) -> None:
        self.is_broken = False
        self.deadline = monotonic() + GROUP_SECONDS
        self._committed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def finish(self, error: Exception | None = None) -> None:
        """Let the waiting calls return, or raise the error."""
        if error is None:
            self._committed.set_result(None)
        else:
            self._committed.set_exception(error)
            # Mark it as retrieved, since every caller may be gone
            self._committed.exception()

    async def wait(self) -> None:
        """Wait for the COMMIT. Raises Unavailable if it failed."""
        try:
            # A caller that is cancelled must not cancel the future of the others
            await asyncio.shield(self._committed)
        except errors.Unavailable as error:
            # An exception for each caller: one that all raise would collect all their tracebacks
            raise errors.Unavailable(str(error)) from error.__cause__


class GroupCommitter:
    """Begins and ends the transactions of one connection.

    writer_lock: see the module's order of locks. group: the open one, if any; it changes only under
    the connection's lock. busy_at: when another process last held the file, by `monotonic`. tasks:
    transactions and commits that must run to their end.
    """

    def __init__(self, client: SqliteClient, connection_lock: asyncio.Lock) -> None:
        self._client = client
        self._connection_lock = connection_lock
        self.writer_lock = WriterLock()
        self.group: CommitGroup | None = None
        self.busy_at = self._yielded_at = float("-inf")
        self.tasks = TaskSet()

    def is_contended(self) -> bool:
        """Return whether a write would have to wait for another, or join a group."""
        return bool(self.writer_lock.locked() or self.writer_lock.waiting or self.group)

    async def yield_to_other_processes(self) -> None:
        """Commit a group that is past its deadline, and pause if other processes want to write.

        Call it with the writer lock and without the connection's lock.
        """
        if self.group and monotonic() >= self.group.deadline:
            async with self._connection_lock:
                await self._commit_group(self.group)
        now = monotonic()
        is_pause_due = now >= self._yielded_at + GROUP_SECONDS
        if is_pause_due and now < self.busy_at + _CONTENTION_SECONDS and not self.group:
            # Other processes try to lock the file every LONGEST_WAIT at the latest
            await asyncio.sleep(LONGEST_WAIT)
            self._yielded_at = monotonic()

    async def begin(self) -> CommitGroup | None:
        """Begin a transaction, or join the open group and return it."""
        if group := self._group_to_join():
            await self._run("SAVEPOINT member")
        else:
            # A deferred transaction that reads and then writes fails with "database is locked" if
            # another process wrote in between. An immediate one waits for the lock.
            await self._run("BEGIN IMMEDIATE")
        return group

    async def begin_statement(self) -> None:
        """Prepare for one statement: join the open group, or open one if other writers wait."""
        if not self._group_to_join() and self.writer_lock.waiting:
            await self._run("BEGIN IMMEDIATE")
            await self._open_group()

    async def end(self, joined: CommitGroup | None, *, has_failed: bool) -> CommitGroup | None:
        """Commit or roll back. Return the group to wait for once the locks are released."""
        if joined and has_failed:
            await self._undo(joined)
        elif has_failed:
            await self._rollback()
        elif not joined and self.writer_lock.waiting:
            return await self._open_group()
        elif not joined:
            await self._commit()
        return joined

    async def after_group_commit(self, work: Awaitable[T]) -> T:
        """Await a statement, and then the COMMIT of the group that it ran in, if any.

        The error of a statement waits for the COMMIT too.
        """
        # No other task runs after the end of the work until its group is read
        try:
            result = await work
        except Exception:
            if self.group:
                await self.group.wait()
            raise
        if self.group:
            await self.group.wait()
        return result

    def _group_to_join(self) -> CommitGroup | None:
        if self.group and not self._driver.in_transaction:
            raise errors.Unavailable("SQLite rolled the shared transaction back")
        return self.group

    async def _open_group(self) -> CommitGroup:
        """Open a group with the current transaction as its first member."""
        try:
            await self._run("SAVEPOINT shared")
        except BaseException:
            with suppress(*_FAILURES):
                await self._rollback()
            raise
        group = self.group = CommitGroup()
        # The lock is fair, so this acquires it after the writers that wait now
        self.tasks.spawn(self._commit_in_turn(group))
        return group

    async def _undo(self, group: CommitGroup) -> None:
        """Roll a member back. Raises nothing: the error that the member failed with says more."""
        group.is_broken = True
        with suppress(*_FAILURES):
            await self._run("ROLLBACK TO member")
            group.is_broken = False

    async def _commit_in_turn(self, group: CommitGroup) -> None:
        async with self.writer_lock, self._connection_lock:
            if self.group is group:
                await self._commit_group(group)

    async def _commit_group(self, group: CommitGroup) -> None:
        """Commit a group. An error is raised by every call that waits for it, but not here."""
        self.group = None
        try:
            if group.is_broken:
                await self._rollback()
            # Fails if the transaction was rolled back, even if another has begun since
            await self._run("RELEASE shared")
            await self._commit()
        except BaseException as error:
            failure = errors.Unavailable(f"the shared commit failed: {error}")
            failure.__cause__ = error.__cause__ or error
            group.finish(failure)
            with suppress(*_FAILURES):
                await self._rollback()
            if not isinstance(error, Exception):
                raise
        else:
            group.finish()

    async def _commit(self) -> None:
        try:
            # Not the driver's commit(), which does nothing if SQLite has rolled everything back
            await self._run("COMMIT")
        except BaseException:
            # A transaction that stays open would keep every other from beginning
            with suppress(*_FAILURES):
                await self._rollback()
            raise

    async def _rollback(self) -> None:
        with translate_errors():
            await self._driver.rollback()

    async def _run(self, statement: str) -> None:
        with translate_errors():
            await self._driver.execute(statement)

    @property
    def _driver(self) -> Any:
        return self._client._connection  # noqa: SLF001 - see docs/private-members.md
