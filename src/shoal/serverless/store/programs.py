"""What users keep: programs, with versions that never change."""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import Row, bindparam, func, insert, select, update

from shoal.serverless.errors import NotFound
from shoal.serverless.identifiers import new_id
from shoal.serverless.models import NewProgram, Page, Principal, Program, moment
from shoal.serverless.store.database.schema import program, program_version
from shoal.serverless.store.store import Transaction
from shoal.serverless.store.texts import checked


def upload(transaction: Transaction, principal: Principal, new: NewProgram) -> Program:
    """Keeps a program, as the newest version of its title.

    Jobs keep the version with which they were submitted.

    Raises:
        ValueError: If the title or the provider cannot be stored, or the title is empty.
    """
    checked("title", new.title, least=1)
    checked("provider", new.provider)
    mine = _named(principal, new.title, new.provider)
    known = transaction.first(select(program.c.id, program.c.newest).where(*mine))
    if known is None:
        program_id, version = new_id(), 1
        row = {
            "id": program_id,
            "account_id": principal.account_id,
            "provider": new.provider,
            "title": new.title,
            "newest": version,
        }
        transaction.change(insert(program).values(row))
    else:
        program_id, version = known.id, known.newest + 1
        transaction.change(update(program).where(*mine).values(newest=version))
    row = {
        "id": new_id(),
        "program_id": program_id,
        "version": version,
        "entrypoint": new.entrypoint,
        "artifact_sha256": new.artifact_sha256,
        "artifact_bytes": new.artifact_bytes,
        "details": json.dumps(dict(new.details)),
        "created_us": transaction.now_us,
    }
    transaction.change(insert(program_version).values(row))
    return newest(transaction, principal, new.title, provider=new.provider)


def newest(
    transaction: Transaction, principal: Principal, title: str, *, provider: str = ""
) -> Program:
    """The newest version of a program; raises NotFound."""
    row = transaction.first(
        _NEWEST, account_id=principal.account_id, named_title=title, named_provider=provider
    )
    if row is None:
        shown = f"{provider}/{title}" if provider else title
        raise NotFound(f"Qiskit Function {shown} doesn't exist.")
    return _program(row)


def version(transaction: Transaction, version_id: str) -> Program:
    """A version by its id, for what runs it; raises NotFound."""
    row = transaction.first(_all_versions().where(program_version.c.id == version_id))
    if row is None:
        raise NotFound(f"there is no program version {version_id}")
    return _program(row)


def page(
    transaction: Transaction,
    principal: Principal,
    *,
    limit: int = 10,
    offset: int = 0,
    provider: str | None = None,
    is_provided: bool | None = None,
) -> Page[Program]:
    """Some of the account's programs in their newest versions, by title.

    Args:
        is_provided: Only programs that belong to a provider, or only others.
    """
    which = [program.c.account_id == principal.account_id]
    if provider is not None:
        which.append(program.c.provider == provider)
    if is_provided is not None:
        which.append(program.c.provider != "" if is_provided else program.c.provider == "")
    total = transaction.value(select(func.count()).select_from(program).where(*which))
    ordered = _newest().where(*which).order_by(program.c.title, program.c.provider)
    rows = transaction.all(ordered.limit(limit).offset(offset))
    return Page(tuple(map(_program, rows)), total)


def _named(principal: Principal, title: str, provider: str) -> tuple[Any, ...]:
    return (
        program.c.account_id == principal.account_id,
        program.c.title == title,
        program.c.provider == provider,
    )


def _all_versions() -> Any:
    columns = (program.c.account_id, program.c.title, program.c.provider)
    joined = program_version.join(program, program.c.id == program_version.c.program_id)
    return select(program_version, *columns).select_from(joined)


def _newest() -> Any:
    return _all_versions().where(program_version.c.version == program.c.newest)


def _program(row: Row[Any]) -> Program:
    return Program(
        id=row.program_id,
        account_id=row.account_id,
        title=row.title,
        provider=row.provider,
        version_id=row.id,
        version=row.version,
        entrypoint=row.entrypoint,
        artifact_sha256=row.artifact_sha256,
        artifact_bytes=row.artifact_bytes,
        details=json.loads(row.details),
        created_at=moment(row.created_us),
    )


# Asked with every submission, and so put together once.
_NEWEST = _newest().where(
    program.c.account_id == bindparam("account_id"),
    program.c.title == bindparam("named_title"),
    program.c.provider == bindparam("named_provider"),
)
