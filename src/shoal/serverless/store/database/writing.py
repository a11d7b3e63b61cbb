"""One thread that writes: whatever waits goes into one transaction, and one fsync."""

from __future__ import annotations

import queue
import sqlite3
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from shoal.serverless.errors import Conflict, StoreBusy, StoreError, StoreFull, StoreUnsure

MOST_TOGETHER = 256

Work = Callable[[Connection], Any]

_FULL = (sqlite3.SQLITE_FULL,)
_BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


@dataclass(slots=True)
class _Order:
    work: Work
    future: Future[Any]
    value: Any = None
    error: BaseException | None = None

    def settle(self) -> None:
        if self.error is not None:
            self.future.set_exception(self.error)
        else:
            self.future.set_result(self.value)


class Writer:
    """Runs work in transactions, several at a time, and answers once they are durable.

    Each piece of work has a savepoint of its own: one that is refused costs nobody else anything.
    """

    def __init__(self, engine: Engine, committed: Callable[[], None]) -> None:
        """Starts the thread.

        Args:
            engine: From `opening.writer`.
            committed: Called in the thread after each commit, before those who wait are answered.
        """
        self._engine = engine
        self._committed = committed
        self._orders: queue.SimpleQueue[_Order | None] = queue.SimpleQueue()
        self._closed = False
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="shoal-store", daemon=True)
        self._thread.start()

    def put(self, work: Work) -> Future[Any]:
        """Has the thread run `work`; the future is done when that is durable, or refused."""
        future: Future[Any] = Future()
        with self._lock:
            if self._closed:
                raise StoreError("the store is closed")
            self._orders.put(_Order(work, future))
        return future

    def close(self) -> None:
        """Writes what waits, and ends the thread."""
        with self._lock:
            if not self._closed:
                self._closed = True
                self._orders.put(None)
        self._thread.join()

    def _run(self) -> None:
        open_ = True
        while open_:
            orders = [self._orders.get()]
            while len(orders) < MOST_TOGETHER and orders[-1] is not None:
                try:
                    orders.append(self._orders.get_nowait())
                except queue.Empty:
                    break
            open_ = orders[-1] is not None
            wanted = [
                order for order in orders if order and order.future.set_running_or_notify_cancel()
            ]
            if wanted:
                self._together(wanted)
                for order in wanted:
                    order.settle()

    def _together(self, orders: Sequence[_Order]) -> None:
        """Runs the orders in one transaction; one by one where that fails before its commit."""
        try:
            with self._engine.connect() as connection:
                self._transact(connection, orders)
        except _NotCommitted as error:
            busy = isinstance(translated(error.cause), StoreBusy)
            if len(orders) > 1 and not busy:
                for order in orders:
                    order.value = order.error = None
                    self._together([order])
            else:
                for order in orders:
                    order.error = translated(error.cause)
        except Exception as error:  # noqa: BLE001 - of the commit: some may be on the disk
            for order in orders:
                order.error = translated(error, committing=True)

    def _transact(self, connection: Connection, orders: Sequence[_Order]) -> None:
        alone = len(orders) == 1
        try:
            connection.begin()
            for order in orders:
                if not alone:
                    connection.exec_driver_sql("SAVEPOINT work")
                try:
                    order.value = order.work(connection)
                except Exception as error:  # whatever it is, the others must not suffer from it
                    if alone:
                        raise
                    order.error = translated(error)
                    connection.exec_driver_sql("ROLLBACK TO work")
                if not alone:
                    connection.exec_driver_sql("RELEASE work")
        except Exception as error:
            raise _NotCommitted(error) from error
        if not all(order.error for order in orders):
            try:
                connection.commit()
            except Exception:
                connection.invalidate()  # nobody knows in which state it is
                raise
            self._committed()


class _NotCommitted(Exception):
    """Nothing of a transaction was committed, for this cause."""

    def __init__(self, cause: Exception) -> None:
        super().__init__(str(cause))
        self.cause = cause


def translated(error: Exception, *, committing: bool = False) -> Exception:
    """A database's error in the store's words; anything else as it is."""
    if not isinstance(error, DBAPIError):
        return error
    code = getattr(error.orig, "sqlite_errorcode", 0) & 0xFF
    made: Exception
    if code in _FULL:
        made = StoreFull("the disk, or its quota, is full; nothing was written")
    elif code in _BUSY:
        made = StoreBusy("another process holds the database; nothing was written, try again")
    elif code == sqlite3.SQLITE_CONSTRAINT:
        made = Conflict(f"the store refuses this: {error.orig}")
    elif committing:
        made = StoreUnsure(f"the commit failed, so it may or may not be written: {error.orig}")
    else:
        made = StoreError(f"the database failed: {error.orig}")
    made.__cause__ = error
    return made
