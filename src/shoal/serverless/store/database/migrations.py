"""The database's versions, and the steps from each to the next."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from types import MappingProxyType

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Integer,
    MetaData,
    Table,
    func,
    insert,
    inspect,
    select,
)

from shoal.serverless.errors import StoreUnusable
from shoal.serverless.models import EDGES
from shoal.serverless.store.database import schema
from shoal.serverless.store.database.triggers import SQLITE

Step = Callable[[Connection], None]

_history = MetaData()
applied = Table(
    "schema_version",
    _history,
    Column("version", Integer, primary_key=True),
    Column("applied_us", BigInteger, nullable=False),
)


def _first(connection: Connection) -> None:
    """Makes all tables and triggers of version 1."""
    schema.metadata.create_all(connection)
    rows = [{"before": a, "after": b} for a, after in EDGES.items() for b in sorted(after)]
    connection.execute(insert(schema.edge), rows)
    for trigger in SQLITE:
        connection.exec_driver_sql(trigger)


# Once a version was released its step is never edited: a later version gets a step of its own.
STEPS: Mapping[int, Step] = MappingProxyType({1: _first})


def version_of(connection: Connection) -> int:
    """The version of the database; 0 for an empty one.

    Raises:
        StoreUnusable: If it is a database of something else.
    """
    names = inspect(connection).get_table_names()
    if applied.name not in names:
        if names:
            raise StoreUnusable(f"this is another program's database, with tables {names[:5]}")
        return 0
    return connection.execute(select(func.max(applied.c.version))).scalar_one_or_none() or 0


def migrate(connection: Connection, steps: Mapping[int, Step] = STEPS) -> int:
    """Takes the database to the newest version, within the transaction of the caller.

    Returns:
        How many steps were needed.

    Raises:
        StoreUnusable: If a newer version of shoal wrote it.
    """
    current, newest = version_of(connection), max(steps)
    if current > newest:
        raise StoreUnusable(
            f"the database has version {current}, and this shoal knows versions to {newest}: "
            "use the shoal that wrote it, or a newer one"
        )
    if current == 0:
        _history.create_all(connection)
    pending = [version for version in sorted(steps) if version > current]
    for version in pending:
        steps[version](connection)
        row = {"version": version, "applied_us": time.time_ns() // 1000}
        connection.execute(insert(applied), row)
    return len(pending)
