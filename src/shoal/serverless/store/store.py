"""The store: operations run in transactions, and are durable before they are answered."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, Self, TypeVar

from sqlalchemy import select, union_all
from sqlalchemy.exc import DBAPIError

from shoal.serverless.errors import StoreUnusable
from shoal.serverless.store import database
from shoal.serverless.store.blobs import Blobs

if TYPE_CHECKING:
    from sqlalchemy import Connection, Executable, Row

logger = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")
Listener = Callable[[frozenset[str]], None]


class Transaction:
    """What an operation is given: the database as of one moment, and the time.

    Attributes:
        now_us: Microseconds since 1970; one value for the whole transaction of one operation.
    """

    def __init__(self, connection: Connection, now_us: int, changed: set[str]) -> None:
        self._connection = connection
        self.now_us = now_us
        self._changed = changed

    def all(self, statement: Executable) -> list[Any]:
        """All rows."""
        return list(self._connection.execute(statement))

    def first(self, statement: Executable, **parameters: object) -> Row[Any] | None:
        """The first row, or None; the parameters are those that the statement leaves open."""
        return self._connection.execute(statement, parameters).first()

    def value(self, statement: Executable) -> Any:
        """The first column of the first row, or None."""
        return self._connection.execute(statement).scalar()

    def change(self, statement: Executable, row: Mapping[str, object] | None = None) -> int:
        """How many rows a statement changed.

        Args:
            statement: What to do. Made once and given its values here, it costs far less than one
                that is made anew.
            row: The values of an insertion, or what the statement leaves open.
        """
        return self._connection.execute(statement, row).rowcount

    def job_changed(self, job_id: str) -> None:
        """Has those who follow jobs hear of this one after the commit."""
        self._changed.add(job_id)


class Store:
    """All that the service knows, in one data directory.

    What can be done are the functions of `accounts`, `programs`, `jobs` and `attempts`, each of
    which takes a `Transaction` first: ``store.write(jobs.submit, principal, new)`` waits until it
    is durable, ``store.enqueue(…)`` gives a future, ``store.read(…)`` only looks.
    """

    def __init__(
        self, directory: Path, *, clock_us: Callable[[], int] | None = None, busy_seconds: float = 5
    ) -> None:
        """Opens the store, making or upgrading it.

        Args:
            directory: The data directory; it is made with access for its owner alone.
            clock_us: Gives microseconds since 1970; the system's clock by default.
            busy_seconds: How long to wait for another process that writes.

        Raises:
            StoreUnusable: If the directory cannot hold a store, or holds none that we know.
        """
        try:
            directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise StoreUnusable(f"{directory} cannot be made: {error}") from error
        path = directory / "store.sqlite"
        database.prepare(path)
        self.directory = directory
        self.blobs = Blobs(directory / "blobs")
        self._clock_us = clock_us or (lambda: time.time_ns() // 1000)
        self._writing = database.writer(path, busy_milliseconds=round(busy_seconds * 1000))
        self._reading = database.reader(path)
        self._listeners: list[Listener] = []
        self._listening = threading.Lock()
        self._changed: set[str] = set()
        self._writer = database.Writer(self._writing, self._tell)

    def write(
        self, operation: Callable[Concatenate[Transaction, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Runs an operation that writes; returns once it is on the disk.

        Raises:
            StoreError: If the store could not. After StoreUnsure the same call may be repeated.
            Exception: Whatever the operation raises; nothing of it was written then.
        """
        return self.enqueue(operation, *args, **kwargs).result()

    def enqueue(
        self, operation: Callable[Concatenate[Transaction, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> Future[T]:
        """As `write`, without waiting; operations run in the order in which they are enqueued."""
        return self._writer.put(partial(self._run, operation, args, kwargs))

    def read(
        self, operation: Callable[Concatenate[Transaction, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Runs an operation that only reads, on what was committed when it began."""
        try:
            with self._reading.connect() as connection:
                transaction = Transaction(connection, self._clock_us(), set())
                return operation(transaction, *args, **kwargs)
        except DBAPIError as error:
            raise database.translated(error) from error

    def follow(self, listener: Listener) -> Callable[[], None]:
        """Calls `listener` with the ids of jobs that may have changed, after each commit.

        It is called in the writing thread, so it must be quick and must not wait for the store.
        It hears of what this process wrote; of other processes, looking tells.

        Returns:
            A function that ends it.
        """
        with self._listening:
            self._listeners.append(listener)

        def end() -> None:
            with self._listening:
                if listener in self._listeners:
                    self._listeners.remove(listener)

        return end

    def sweep_blobs(self, *, older_seconds: float = 3600.0) -> int:
        """Removes blobs that nothing refers to any more; returns how many."""

        def used(names: Collection[str]) -> set[str]:
            return self.read(_referred, names)

        return self.blobs.sweep(used, older_seconds=older_seconds)

    def close(self) -> None:
        """Writes what waits, and closes the database."""
        self._writer.close()
        self._writing.dispose()
        self._reading.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _run(
        self,
        operation: Callable[..., T],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        connection: Connection,
    ) -> T:
        transaction = Transaction(connection, self._clock_us(), self._changed)
        return operation(transaction, *args, **kwargs)

    def _tell(self) -> None:
        changed, self._changed = frozenset(self._changed), set()
        with self._listening:
            listeners = tuple(self._listeners)
        for listener in listeners if changed else ():
            try:
                listener(changed)
            except Exception:
                logger.exception("A listener failed")


def _referred(transaction: Transaction, names: Collection[str]) -> set[str]:
    tables = database.schema
    columns = (tables.payload.c.sha256, tables.program_version.c.artifact_sha256)
    found = union_all(*(select(column).where(column.in_(names)) for column in columns))
    return {row[0] for row in transaction.all(found)}
