"""Commits of SQLite that several transactions share.

A commit waits for the disk, and SQLite has one writer at a time. So a transaction that ends while
others wait for their turn leaves its commit to them: each of them joins it in a savepoint of its
own, and one COMMIT ends them all. If nobody waits, a transaction is BEGIN IMMEDIATE and COMMIT.

- No call returns before the shared commit: not a read, a refusal or an error either, since they may
  come from what another transaction wrote. If the commit fails, every one of them fails.
- A transaction that fails is rolled back to its savepoint, which undoes nothing of the others.
- A full disk or an I/O error makes SQLite roll back everything, and with it the outer savepoint,
  without which nothing is committed.
- Only writes that waited when a commit began to be shared can join it, and for SHARED_SECONDS at
  most: other processes wait for the file meanwhile.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Coroutine
from contextlib import suppress
from time import monotonic
from typing import Any, Literal, TypeVar

from tortoise.backends.sqlite.client import SqliteClient

from referral.storage.engines import errors
from referral.storage.engines.sqlite_statements import translate_errors

T = TypeVar("T")

GROUP_SECONDS = 0.05
FIRST_WAIT, LONGEST_WAIT = 0.002, 0.01  # seconds between tries to get the file
_OTHERS_SECONDS = 1
_FAILURES = (*errors.SQLITE_ERRORS, errors.Unavailable, ValueError)
"""What a statement raises; ValueError if the connection is closed."""


class WriterLock(asyncio.Lock):
    """A fair lock that knows how many wait for it."""

    waiting = 0

    async def acquire(self) -> Literal[True]:
        self.waiting += 1
        try:
            return await super().acquire()
        finally:
            self.waiting -= 1


class CommitGroup:
    """A commit that ends several transactions.

    is_broken: what one of them did could not be undone.
    """

    def __init__(self) -> None:
        self.is_broken = False
        self.deadline = monotonic() + GROUP_SECONDS
        self._done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def finish(self, error: Exception | None = None) -> None:
        if error is None:
            self._done.set_result(None)
        else:
            self._done.set_exception(error)
            # Mark it as seen, since every caller may have gone away
            self._done.exception()

    async def wait(self) -> None:
        """Raises Unavailable if the commit failed."""
        try:
            # A caller that goes away must not cancel the future of the others
            await asyncio.shield(self._done)
        except errors.Unavailable as error:
            # Each caller's own: raised again and again, one would gather all their tracebacks
            raise errors.Unavailable(str(error)) from error.__cause__


class GroupCommitter:
    """How the transactions on one connection end.

    turns: held from the wait for the file to the end of a write. The connection's lock, which reads
    take too, is acquired second.
    shared: the commit that is open. It changes only under the connection's lock.
    found_busy_at: when another process last held the file.
    """

    def __init__(self, client: SqliteClient, lock: asyncio.Lock) -> None:
        self._client = client
        self._lock = lock
        self.turns = WriterLock()
        self.shared: CommitGroup | None = None
        self.found_busy_at = self._gave_way_at = float("-inf")
        self._tasks: set[asyncio.Task[Any]] = set()

    def is_busy(self) -> bool:
        """Whether a write has to wait for its turn."""
        return bool(self.turns.locked() or self.turns.waiting or self.shared)

    async def give_way(self) -> None:
        """Commit what is due, and leave the file to other processes that write for a moment.

        To be called with the turn, without the connection's lock.
        """
        if self.shared and monotonic() >= self.shared.deadline:
            async with self._lock:
                await self._commit_shared(self.shared)
        now = monotonic()
        is_pause_due = now >= self._gave_way_at + GROUP_SECONDS
        if is_pause_due and now < self.found_busy_at + _OTHERS_SECONDS and not self.shared:
            await asyncio.sleep(LONGEST_WAIT)
            self._gave_way_at = monotonic()

    async def begin(self) -> CommitGroup | None:
        """Begin a transaction, or join the commit that is open."""
        if shared := await self._open_commit():
            await self._run("SAVEPOINT member")
        else:
            # A deferred transaction that reads, then writes, fails with "database is locked" as
            # soon as another process wrote in between; an immediate one waits for its turn.
            await self._run("BEGIN IMMEDIATE")
        return shared

    async def begin_shared(self) -> None:
        """Join the commit that is open, for one statement; share one if others wait too."""
        if not await self._open_commit() and self.turns.waiting:
            await self._run("BEGIN IMMEDIATE")
            await self._share()

    async def end(self, joined: CommitGroup | None, *, has_failed: bool) -> CommitGroup | None:
        """Commit or roll back. Returns the shared commit to wait for without the locks."""
        if joined and has_failed:
            await self._undo(joined)
        elif has_failed:
            await self._rollback()
        elif not joined and self.turns.waiting:
            return await self._share()
        elif not joined:
            await self._commit()
        return joined

    async def after_shared_commit(self, work: Awaitable[T]) -> T:
        """Let neither result nor error of a statement out before the commit that it was under."""
        # No other task runs between the end of the work and the look at the commit
        try:
            result = await work
        except Exception:
            if self.shared:
                await self.shared.wait()
            raise
        if self.shared:
            await self.shared.wait()
        return result

    async def to_its_end(self, work: Coroutine[Any, Any, T]) -> T:
        """Do this even if the caller goes away: half a transaction would stay open."""
        return await asyncio.shield(self._spawn(work))

    async def finished(self) -> None:
        """Wait until nothing is under way."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def _open_commit(self) -> CommitGroup | None:
        if self.shared and not self._driver.in_transaction:
            raise errors.Unavailable("SQLite rolled the shared transaction back")
        return self.shared

    async def _share(self) -> CommitGroup:
        """Leave the commit of the open transaction to those who wait for their turn."""
        try:
            await self._run("SAVEPOINT shared")
        except BaseException:
            with suppress(*_FAILURES):
                await self._rollback()
            raise
        shared = self.shared = CommitGroup()
        # The lock is fair: its turn comes after theirs
        self._spawn(self._commit_in_turn(shared))
        return shared

    async def _undo(self, shared: CommitGroup) -> None:
        """Undo what a transaction did. Raises no error, since the transaction's own says more."""
        shared.is_broken = True
        with suppress(*_FAILURES):
            await self._run("ROLLBACK TO member")
            shared.is_broken = False

    async def _commit_in_turn(self, shared: CommitGroup) -> None:
        async with self.turns, self._lock:
            if self.shared is shared:
                await self._commit_shared(shared)

    async def _commit_shared(self, shared: CommitGroup) -> None:
        """Commit. Raises no error: it is raised by every call that waits for the commit."""
        self.shared = None
        try:
            if shared.is_broken:
                await self._rollback()
            # Fails if the transaction was rolled back, also where another was begun since
            await self._run("RELEASE shared")
            await self._commit()
        except BaseException as error:
            failure = errors.Unavailable(f"the shared commit failed: {error}")
            failure.__cause__ = error.__cause__ or error
            shared.finish(failure)
            with suppress(*_FAILURES):
                await self._rollback()
            if not isinstance(error, Exception):
                raise
        else:
            shared.finish()

    async def _commit(self) -> None:
        try:
            # Not the driver's commit(), which says nothing if SQLite rolled everything back
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
        return self._client._connection  # noqa: SLF001 - nothing public has it

    def _spawn(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)
        return task

    def _finished(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            # Mark it as seen, since the caller may have gone away
            task.exception()
