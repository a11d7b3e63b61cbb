"""The database's versions: which one it has, and how Alembic takes it to the newest."""

from __future__ import annotations

import threading
from pathlib import Path

from sqlalchemy import Connection, column, inspect, select, table

from shoal.errors import MissingExtra
from shoal.serverless.errors import StoreUnusable

REVISIONS = Path(__file__).with_name("revisions")

_applied = table("alembic_version", column("version_num"))
_alone = threading.Lock()  # what Alembic works on is in globals of its modules


def versions(revisions: Path = REVISIONS) -> tuple[str, ...]:
    """All versions that this shoal knows, the newest last.

    They are read from the names of the files: importing Alembic takes longer than opening a store.
    """
    paths = (revisions / "versions").glob("version_*.py")
    return tuple(sorted(path.stem.removeprefix("version_") for path in paths))


def version_of(connection: Connection, revisions: Path = REVISIONS) -> str | None:
    """The version of the database; None for an empty one.

    Raises:
        StoreUnusable: If a newer version of shoal wrote it, or something else.
    """
    names = inspect(connection).get_table_names()
    if not names:
        return None
    is_ours = {_applied.name, "job"} <= set(names)
    found = connection.scalars(select(_applied.c.version_num)).all() if is_ours else ()
    if len(found) != 1:
        raise StoreUnusable(f"this is another program's database, with tables {names[:5]}")
    known = versions(revisions)
    if found[0] not in known:
        raise StoreUnusable(
            f"the database has version {found[0]}, and this shoal knows versions to {known[-1]}: "
            "use the shoal that wrote it, or a newer one"
        )
    return str(found[0])


def upgrade(connection: Connection, revisions: Path = REVISIONS) -> None:
    """Takes the database to the newest version, within the transaction of the caller.

    Raises:
        MissingExtra: If Alembic is not installed.
    """
    try:
        from alembic import command
        from alembic.config import Config
    except ModuleNotFoundError as error:
        raise MissingExtra(
            f"making or upgrading a store needs {error.name}, which is not installed: "
            "pip install 'shoal[serve]'"
        ) from error
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(revisions).replace("%", "%%"))
    with _alone:
        command.upgrade(config, "head")
