"""Who may ask: accounts, and the tokens that prove them."""

from __future__ import annotations

import re
from typing import Any

from sqlalchemy import Row, bindparam, delete, insert, select, update

from shoal.serverless.errors import Conflict, NotFound
from shoal.serverless.identifiers import new_id
from shoal.serverless.models import TERMINAL, Account, Principal, Scope, Token, moment
from shoal.serverless.store.database.schema import account, job, token
from shoal.serverless.store.store import Transaction
from shoal.serverless.store.texts import checked
from shoal.serverless.tokens import Minted, matches, mint, split

# Asked with every request, and so put together once.
_HOLDER = (
    select(token, account.c.name, account.c.is_admin, account.c.is_disabled, job.c.status)
    .add_columns(job.c.fence.label("job_fence"))
    .select_from(
        token.join(account, account.c.id == token.c.account_id).join(
            job, job.c.id == token.c.job_id, isouter=True
        )
    )
    .where(token.c.id == bindparam("token_id"))
)

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,254}")


def add(
    transaction: Transaction,
    name: str,
    *,
    is_admin: bool = False,
    password_hash: str | None = None,
) -> Account:
    """Makes an account.

    Args:
        name: Unique; letters, digits and ``._@+-``, at most 255.
        is_admin: Whether it may manage accounts.
        password_hash: Opaque here; None for an account that has only tokens.

    Raises:
        ValueError: For a name that is none.
        Conflict: If the name is taken.
    """
    if not _NAME.fullmatch(name):
        raise ValueError(f"name={name!r}: expected letters, digits and ._@+-, at most 255")
    if transaction.first(select(account.c.id).where(account.c.name == name)):
        raise Conflict(f"an account named {name!r} exists already")
    row = {
        "id": new_id(),
        "name": name,
        "is_admin": is_admin,
        "is_disabled": False,
        "password_hash": password_hash,
        "created_us": transaction.now_us,
    }
    transaction.change(insert(account).values(row))
    return get(transaction, name)


def get(transaction: Transaction, name: str) -> Account:
    """The account of that name; raises NotFound."""
    row = transaction.first(select(account).where(account.c.name == name))
    if row is None:
        raise NotFound(f"there is no account named {name!r}")
    return _account(row)


def everyone(transaction: Transaction) -> tuple[Account, ...]:
    """All accounts, by name."""
    return tuple(map(_account, transaction.all(select(account).order_by(account.c.name))))


def set_password(transaction: Transaction, name: str, password_hash: str | None) -> None:
    """Replaces the password's hash; None takes the password away."""
    _update(transaction, name, password_hash=password_hash)


def set_disabled(transaction: Transaction, name: str, is_disabled: bool) -> None:
    """Makes all tokens of an account invalid, or valid again."""
    _update(transaction, name, is_disabled=is_disabled)


def add_token(
    transaction: Transaction, name: str, *, label: str = "", seconds: float | None = None
) -> tuple[str, Token]:
    """Makes a token of an account.

    Args:
        name: The account's.
        label: What it is for, for people.
        seconds: How long it is valid; None for ever.

    Returns:
        The token's text, which nothing can tell again, and what is known of it.
    """
    owner = get(transaction, name)
    minted = mint()
    expires = None if seconds is None else transaction.now_us + round(seconds * 1e6)
    insert_token(transaction, minted, owner.id, label=label, expires_us=expires)
    row = transaction.first(select(token).where(token.c.id == minted.id))
    if row is None:
        raise NotFound(f"token {minted.id} is gone")
    return minted.text, _token(row)


def insert_token(
    transaction: Transaction,
    minted: Minted,
    account_id: str,
    *,
    label: str,
    expires_us: int | None = None,
    job_id: str | None = None,
    fence: int | None = None,
) -> None:
    """Records a token; one of a job is valid while that attempt of it is."""
    row = {
        "id": minted.id,
        "account_id": account_id,
        "secret_sha256": minted.secret_sha256,
        "label": checked("label", label),
        "job_id": job_id,
        "fence": fence,
        "created_us": transaction.now_us,
        "expires_us": expires_us,
    }
    transaction.change(insert(token).values(row))


def tokens(transaction: Transaction, name: str) -> tuple[Token, ...]:
    """The tokens of an account that people made, oldest first."""
    owner = get(transaction, name)
    mine = select(token).where(token.c.account_id == owner.id, token.c.job_id.is_(None))
    return tuple(map(_token, transaction.all(mine.order_by(token.c.created_us, token.c.id))))


def revoke(transaction: Transaction, name: str, token_id: str) -> None:
    """Makes a token invalid; raises NotFound if the account has none of that id."""
    owner = get(transaction, name)
    mine = (token.c.id == token_id, token.c.account_id == owner.id)
    if transaction.first(select(token.c.id).where(*mine)) is None:
        raise NotFound(f"{name} has no token {token_id}")
    valid = update(token).where(*mine, token.c.revoked_us.is_(None))
    transaction.change(valid.values(revoked_us=transaction.now_us))


def drop_expired(transaction: Transaction) -> int:
    """Forgets the tokens of people that are no longer valid by their age; returns how many."""
    expired = (token.c.job_id.is_(None), token.c.expires_us <= transaction.now_us)
    return transaction.change(delete(token).where(*expired))


def authenticate(transaction: Transaction, text: str) -> Principal | None:
    """Who holds this token; None if it is unknown, expired, revoked or its job has ended."""
    parts = split(text)
    if parts is None:
        return None
    row = transaction.first(_HOLDER, token_id=parts[0])
    if row is None or not matches(parts[1], row.secret_sha256) or not _is_valid(transaction, row):
        return None
    is_admin = bool(row.is_admin) and row.job_id is None
    return Principal(row.account_id, row.name, is_admin, row.id, row.job_id)


def _is_valid(transaction: Transaction, row: Row[Any]) -> bool:
    ended = row.job_id is not None and (row.status in TERMINAL or row.fence != row.job_fence)
    expired = row.expires_us is not None and row.expires_us <= transaction.now_us
    return not (ended or expired or row.revoked_us is not None or row.is_disabled)


def _update(transaction: Transaction, name: str, **values: object) -> None:
    if not transaction.change(update(account).where(account.c.name == name).values(**values)):
        raise NotFound(f"there is no account named {name!r}")


def _account(row: Row[Any]) -> Account:
    return Account(
        row.id,
        row.name,
        bool(row.is_admin),
        moment(row.created_us),
        bool(row.is_disabled),
        row.password_hash,
    )


def _token(row: Row[Any]) -> Token:
    return Token(
        row.id,
        row.account_id,
        row.label,
        Scope.ACCOUNT if row.job_id is None else Scope.JOB,
        moment(row.created_us),
        None if row.expires_us is None else moment(row.expires_us),
        None if row.revoked_us is None else moment(row.revoked_us),
        row.job_id,
    )
