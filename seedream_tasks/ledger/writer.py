"""The ledger, open, and the one thread that writes it.

All writes of a process go through one thread, which commits whatever is waiting as one transaction: many records share one
fsync, and each caller goes on only once its own record is on disk. An operation checks before it writes, so a `LedgerRefusal`
leaves nothing behind and does not disturb the others; any other database error rolls the batch back, and its operations are
then run one by one.

What the process holds of its attempts is written again where the database turns out not to know them
(see ledger/held_attempts.py), and whatever happens to the thread, each caller learns of it.
"""

import asyncio
import logging
import os
import queue
import secrets
import threading
import time
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol, TypeVar

from sqlalchemy import (
    Connection,
    Engine,
    text,
)
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from ..core.errors import LedgerFault, LedgerRefusal, UnknownAttempt
from .database_errors import (
    READ_ONLY,
    is_away,
    may_pass,
    reason_of,
    sql_state,
    with_type,
)
from .schema import TABLES

# No lease of an intent is granted for longer.
LEASE_S = 60.0
T = TypeVar("T")


Operation = Callable[[Connection], T]


_MOST_PER_COMMIT = 256


_GATHER_S = 0.008


_MOST_AT_ONCE = 8


_TRIES = 4


_ENDED_HELD = 500


# How long a PostgreSQL server may be away, as for a restart or a failover, before what waits for it fails.
OUTAGE_S = 60.0


_LOOK_AGAIN_S = 0.5


# Processes that write one ledger at once count in rows of their own, as far as that many go.
_COUNTERS = 64


_COUNT = text(
    "INSERT INTO counts (counter, records) VALUES (:counter, 1)"
    " ON CONFLICT (counter) DO UPDATE SET records = counts.records + 1"
)


logger = logging.getLogger("seedream_tasks.ledger")


class Held(Protocol):
    """A process's copy of one attempt."""

    def restore(self, connection: Connection) -> bool:
        """Write it into the ledger if missing there; False if present."""

    def rescue(self) -> str:
        """Keep it outside the ledger; returns where."""


class Ledger:
    """An open ledger. `write` and `read` take functions of a connection; both can be awaited from any event loop."""

    lease_s: float = LEASE_S  # how long what this process claims is its own to send, unless renewed

    def __init__(self, url: str, engine: Engine, reader: Engine) -> None:
        self.url = url
        self.owner = secrets.token_hex(8)  # this process, as the holder of leases
        self._engine = engine
        self._reader = reader
        self._queue: queue.SimpleQueue[_Write | None] = queue.SimpleQueue()
        self._readers = ThreadPoolExecutor(2, "seedream-ledger-read")
        self._counter = secrets.randbelow(_COUNTERS)
        self._closed = False
        self._away_since: float | None = None  # all that meet the same outage share one wait
        self._held: dict[str, Held] = {}  # by attempt
        self._ended: dict[str, Held] = {}  # the same for those that ended last: a replica may lack their records too
        self._file = _File.of(engine)
        self._broken: LedgerFault | None = None
        self._in_hand: list[_Write] = []
        self._thread = threading.Thread(target=self._work, name="seedream-ledger", daemon=True)
        self._thread.start()

    async def write(self, operation: Operation[T], otherwise: Callable[[Exception], None] | None = None) -> T:
        """Run `operation` in a transaction; on return its writes are on disk. Raises LedgerRefusal or LedgerFault.

        Cancelling the wait does not undo the write: a caller that needs the result awaits it to the end. `otherwise` is called
        for a failed write, in the writing thread, even if nobody waits for it any more.
        """
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[T] = loop.create_future()
        write = _Write(operation, loop, waiter, otherwise)
        if self._closed:
            _settle([_told(write, LedgerFault("the ledger is closed"))])
        else:
            self._queue.put(write)
        return await waiter

    async def read(self, operation: Operation[T]) -> T:
        """Run a reading `operation` on a snapshot; again from the start if the server goes away meanwhile. Raises LedgerFault."""
        return await asyncio.get_running_loop().run_in_executor(self._readers, self.read_now, operation)

    def write_now(self, operation: Operation[T]) -> T:
        """`write` without an event loop, in the caller's thread."""
        return self._alone(operation)

    def read_now(self, operation: Operation[T]) -> T:
        """`read` without an event loop, in the caller's thread."""
        while True:
            try:
                self._check_file()
                with self._reader.begin() as connection:
                    found = operation(connection)
            except SQLAlchemyError as error:
                if not self._is_awaited(error):
                    raise LedgerFault(f"the ledger cannot be read: {reason_of(error)}") from error
                time.sleep(_LOOK_AGAIN_S)
            except StopIteration as error:  # no future takes it: whoever waits in another thread would wait for ever
                raise LedgerFault(f"the ledger cannot be read: {with_type(error)}") from error
            else:
                self._away_since = None
                return found

    def drop(self) -> None:
        """Drop all tables of a partly created ledger."""
        with self._engine.begin() as connection:
            TABLES.drop_all(connection)

    # What this process holds of its attempts

    def hold(self, attempt_id: str, held: Held) -> None:
        """Hold what is needed to rewrite this attempt, until `release`."""
        self._held[attempt_id] = held

    def held(self, attempt_id: str) -> Held | None:
        """What is held of an attempt."""
        return self._held.get(attempt_id)

    def release(self, attempt_ids: Collection[str]) -> None:
        """These attempts have ended."""
        for attempt_id in attempt_ids:
            held = self._held.pop(attempt_id, None)
            if held is not None:
                self._ended[attempt_id] = held
        while len(self._ended) > _ENDED_HELD:
            self._ended.pop(next(iter(self._ended)), None)

    def forget(self, attempt_id: str) -> None:
        """This attempt was never accepted."""
        self._held.pop(attempt_id, None)

    def _run(self, operation: Operation[T], connection: Connection) -> T:
        """Run an operation; attempts that only this process knows are rewritten first. It checks before it writes."""
        try:
            return operation(connection)
        except UnknownAttempt as unknown:
            if unknown.facts["attempt_id"] not in self._held:
                raise
            # If one is missing, others are too.
            held = [*self._ended.values(), *self._held.values()]
            count = sum(each.restore(connection) for each in held)
            logger.warning("%s; %s are written again from what this process holds", unknown.message, count)
            return operation(connection)

    def _check_file(self) -> None:
        """Raises LedgerFault when the open file was replaced by another: nothing written here would be found."""
        if self._file is None or self._file.is_there():
            return
        held, self._held = self._held, {}
        for each in held.values():
            each.rescue()
        raise LedgerFault(
            f"the ledger {self._file.path} was moved away or replaced while it was open; what is under way is in rescue files"
        )

    def close(self) -> None:
        """Finish queued writes and close the database. Idempotent."""
        if self._closed:
            return
        self._closed = True
        self._queue.put(None)
        self._thread.join()
        self._readers.shutdown()
        self._engine.dispose()
        self._reader.dispose()

    def _work(self) -> None:
        try:
            self._serve()
        except BaseException as error:  # whatever it is, no caller may wait forever for this thread
            self._broken = LedgerFault(f"the ledger is not written any more: {with_type(error)}")
            logger.critical("%s", self._broken.message, exc_info=error)
            for each in self._in_hand:
                _deliver([_told(each, self._broken)])
            while (waiting := self._queue.get()) is not None:
                _deliver([_told(waiting, self._broken)])

    def _serve(self) -> None:
        many = False
        while True:
            first = self._queue.get()
            if first is None:
                return
            if many:
                # With many writers, a commit costs more than its records: wait a moment for more to join.
                time.sleep(_GATHER_S)
            batch, last = [first], False
            while len(batch) < _MOST_PER_COMMIT:
                try:
                    following = self._queue.get_nowait()
                except queue.Empty:
                    break
                if following is None:
                    last = True
                    break
                batch.append(following)
            self._in_hand = batch
            done = self._together(batch)
            self._in_hand = []
            _deliver(done)
            many = len(batch) > 1
            if last:
                return

    def _together(self, batch: list["_Write"]) -> "list[_Done]":
        done: list[_Done] = []
        try:
            self._check_file()
            with self._engine.begin() as connection:
                for each in batch:
                    try:
                        done.append((each, self._run(each.operation, connection), None))
                    except LedgerRefusal as refusal:
                        done.append(_told(each, refusal))
                if any(error is None for _, _, error in done):
                    self._count(connection)
            self._check_file()
        except BaseException as error:  # noqa: BLE001 - whatever one operation raised, each learns its own result below
            if len(batch) > 1:
                logger.debug("a batch of %s records is run one by one: %s", len(batch), error)
            return [self._one(each) for each in batch]
        return done

    def _one(self, each: "_Write") -> "_Done":
        try:
            return each, self._alone(each.operation), None
        except Exception as error:  # noqa: BLE001 - handed to the caller, who awaits it
            return _told(each, error)
        except BaseException as error:  # noqa: BLE001 - it would end the thread that everybody waits for
            return _told(each, LedgerFault(f"the ledger cannot be written: {with_type(error)}"))

    def _alone(self, operation: Operation[T]) -> T:
        attempt = 0
        while True:
            try:
                self._check_file()
                with self._engine.begin() as connection:
                    result = self._run(operation, connection)
                    self._count(connection)
                self._check_file()
            except SQLAlchemyError as error:
                # A deadlock, a lock held too long, a row another process inserted first, a connection that broke: the
                # transaction is rolled back as a whole, so it may run again and then sees what the other one wrote.
                if self._is_awaited(error):
                    if sql_state(error) == READ_ONLY:
                        self._engine.dispose()  # this connection is to a standby: the next one may reach the new primary
                    time.sleep(_LOOK_AGAIN_S)
                    continue
                attempt += 1
                if attempt == _TRIES or not (isinstance(error, DBAPIError) and may_pass(error)):
                    raise LedgerFault(f"the ledger cannot be written: {reason_of(error)}") from error
                time.sleep(0.05 * 4 ** (attempt - 1))
            except StopIteration as error:  # no future takes it: whoever waits would wait for ever
                raise LedgerFault(f"the ledger cannot be written: {with_type(error)}") from error
            else:
                self._away_since = None
                return result

    def _count(self, connection: Connection) -> None:
        """Count this commit, as its last statement: the row lock is held only for the commit itself."""
        connection.execute(_COUNT, {"counter": self._counter})

    def _is_awaited(self, error: SQLAlchemyError) -> bool:
        """Whether the server is unavailable, and the wait for it has not timed out."""
        if self._closed or self._engine.dialect.name != "postgresql" or not is_away(error):
            return False
        since = self._away_since
        if since is None:
            since = self._away_since = time.monotonic()
            logger.warning("the ledger's server is away, waiting for it: %s", reason_of(error))
        return time.monotonic() - since < OUTAGE_S


class _File:
    """The identity of an open SQLite ledger's file, as of opening."""

    def __init__(self, path: Path, found: os.stat_result) -> None:
        self.path = path
        self._found = found

    @classmethod
    def of(cls, engine: Engine) -> "_File | None":
        """That of an engine whose database is a file that is there."""
        path = engine.url.database
        if engine.dialect.name != "sqlite" or not path or path.startswith("file:"):
            return None
        file = Path(path).absolute()
        return cls(file, file.stat())

    def is_there(self) -> bool:
        """Whether the file under its name is still the same."""
        try:
            return os.path.samestat(self._found, self.path.stat())
        except FileNotFoundError:
            return False


class _Write:
    __slots__ = ("loop", "operation", "otherwise", "waiter")

    def __init__(
        self,
        operation: Operation[Any],
        loop: asyncio.AbstractEventLoop,
        waiter: asyncio.Future[Any],
        otherwise: Callable[[Exception], None] | None,
    ) -> None:
        self.operation = operation
        self.loop = loop
        self.waiter = waiter
        self.otherwise = otherwise


_Done = tuple[_Write, Any, Exception | None]


def _told(write: _Write, error: Exception) -> _Done:
    """The result of a failed write, after its `otherwise` was called."""
    if write.otherwise is not None:
        write.otherwise(error)
    return write, None, error


def _deliver(done: list[_Done]) -> None:
    # One wake-up per event loop and commit, however many records it held.
    by_loop: dict[asyncio.AbstractEventLoop, list[_Done]] = {}
    for each in done:
        by_loop.setdefault(each[0].loop, []).append(each)
    for loop, results in by_loop.items():
        try:
            loop.call_soon_threadsafe(_settle, results)
        except RuntimeError:  # that loop is gone; what it asked for is on disk all the same, or has been told otherwise
            logger.warning("%s records were written for an event loop that has ended", len(results))


def _settle(results: list[_Done]) -> None:
    if len(results) > _MOST_AT_ONCE:
        # Whoever is woken does something: in between the loop looks after everybody else.
        results[0][0].loop.call_soon(_settle, results[_MOST_AT_ONCE:])
    for each, value, error in results[:_MOST_AT_ONCE]:
        if each.waiter.done():
            continue
        if error is None:
            each.waiter.set_result(value)
        else:
            each.waiter.set_exception(error)
