"""The operator's commands: `shoal serve`, `shoal user`, `shoal token`."""

from __future__ import annotations

import argparse
import getpass
import json
import logging
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from shoal.serverless.models import Account, Token
    from shoal.serverless.store import Store

T = TypeVar("T")
_Subparsers = Any  # what argparse returns from add_subparsers has no public name

_DATA = "the data directory (default: shoal-data, or SHOAL_SERVE_DATA)"


def add_arguments(subparsers: _Subparsers) -> None:
    """Adds the operator's commands."""
    _add_serve(subparsers)
    _add_user(subparsers)
    _add_token(subparsers)


def _add_serve(subparsers: _Subparsers) -> None:
    parser = subparsers.add_parser(
        "serve",
        help="run the service: programs, jobs and their results, over HTTP",
        description="Run the service until SIGTERM or Ctrl-C. Jobs run on after that, and the next "
        "start adopts them. What is not given here comes from the environment (SHOAL_SERVE_PORT "
        "and so on), else from DATA/shoal.toml, where there are more settings.",
    )
    parser.add_argument("--data", metavar="DIR", help=_DATA)
    parser.add_argument("--host", help="the address to listen on (default: 127.0.0.1)")
    parser.add_argument("--port", help="the port to listen on; 0 takes a free one (default: 8000)")
    parser.add_argument("--max-jobs", metavar="N", help="jobs at a time (default: the cores)")
    parser.add_argument("--job-python", metavar="FILE", help="the interpreter that runs programs")
    parser.add_argument(
        "--hosts", metavar="NAMES", help="names by which clients call, with commas between"
    )
    parser.add_argument("--tls-certificate", metavar="FILE", help="encrypt, with this certificate")
    parser.add_argument("--tls-key", metavar="FILE", help="the certificate's key")
    parser.add_argument(
        "--insecure",
        action="store_const",
        const=True,
        help="listen on a public address without encryption: something in front encrypts",
    )
    parser.add_argument(
        "--demo-user",
        action="store_const",
        const=True,
        help="have the user 'user' with the password 'password123', on loopback only",
    )
    parser.set_defaults(command=_serve)


def _add_user(subparsers: _Subparsers) -> None:
    user = subparsers.add_parser("user", help="who may use the service")
    user.set_defaults(parser=user)
    verbs = user.add_subparsers(title="commands", metavar="COMMAND")
    add = _verb(verbs, "add", _user_add, "make a user and print a token for it")
    add.add_argument("name", metavar="NAME")
    add.add_argument(
        "--password",
        action="store_true",
        help="ask for a password as well, for the clients that know no token; without a terminal "
        "it is the first line of the input",
    )
    _verb(verbs, "list", _user_list, "list the users")
    remove = _verb(
        verbs, "remove", _user_remove, "end a user's tokens and password; what it made is kept"
    )
    remove.add_argument("name", metavar="NAME")


def _add_token(subparsers: _Subparsers) -> None:
    token = subparsers.add_parser("token", help="what users and programs prove themselves with")
    token.set_defaults(parser=token)
    verbs = token.add_subparsers(title="commands", metavar="COMMAND")
    create = _verb(verbs, "create", _token_create, "make a token and print it, once")
    create.add_argument("name", metavar="USER")
    create.add_argument("--label", default="", help="what it is for")
    create.add_argument("--days", type=float, metavar="N", help="valid so long (default: for ever)")
    listing = _verb(verbs, "list", _token_list, "list a user's tokens, without their secrets")
    listing.add_argument("name", metavar="USER")
    revoke = _verb(verbs, "revoke", _token_revoke, "make a token invalid")
    revoke.add_argument("name", metavar="USER")
    revoke.add_argument("token_id", metavar="TOKEN", help="its id, as `shoal token list` shows it")


def _verb(
    verbs: _Subparsers, name: str, command: Callable[[argparse.Namespace], str], help_text: str
) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = verbs.add_parser(
        name, help=help_text, description=f"{help_text.capitalize()}."
    )
    parser.add_argument("--data", metavar="DIR", help=_DATA)
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(command=command)
    return parser


def _serve(chosen: argparse.Namespace) -> int:
    from shoal.serverless.gateway import serve
    from shoal.serverless.settings import known_names, load

    logging.basicConfig(
        stream=sys.stderr,
        level=logging.INFO,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    for name in ("alembic", "uvicorn"):
        logging.getLogger(name).setLevel(logging.WARNING)
    flags = {name: getattr(chosen, name) for name in known_names() if name in chosen}
    serve(load(flags), say=_say)
    return 0


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _user_add(chosen: argparse.Namespace) -> str:
    from shoal.serverless.gateway import hashed
    from shoal.serverless.store import Transaction, accounts

    password_hash = hashed(_password()) if chosen.password else None

    def add(transaction: Transaction) -> str:
        known = {account.name: account for account in accounts.everyone(transaction)}
        if chosen.name in known and known[chosen.name].is_disabled:
            accounts.set_disabled(transaction, chosen.name, False)
            accounts.set_password(transaction, chosen.name, password_hash)
        else:
            accounts.add(transaction, chosen.name, password_hash=password_hash)
        return accounts.add_token(transaction, chosen.name, label="first token")[0]

    data, token = _with_store(chosen, lambda store: (store.directory, store.write(add)))
    said = f"The token of {chosen.name} in {data}, which is shown only now:\n{token}\n"
    return _dumped({"name": chosen.name, "token": token}) if chosen.json else said


def _user_list(chosen: argparse.Namespace) -> str:
    from shoal.serverless.store import accounts

    found = _with_store(chosen, lambda store: store.read(accounts.everyone))
    if chosen.json:
        return _dumped([_account_shown(account) for account in found])
    return "".join(f"{account.name}{_remarks(account)}\n" for account in found)


def _user_remove(chosen: argparse.Namespace) -> str:
    from shoal.serverless.store import Transaction, accounts

    def remove(transaction: Transaction) -> None:
        for token in accounts.tokens(transaction, chosen.name):
            accounts.revoke(transaction, chosen.name, token.id)
        accounts.set_password(transaction, chosen.name, None)
        accounts.set_disabled(transaction, chosen.name, True)

    _with_store(chosen, lambda store: store.write(remove))
    said = f"{chosen.name} is removed; programs, jobs and files are kept.\n"
    return _dumped({"name": chosen.name}) if chosen.json else said


def _token_create(chosen: argparse.Namespace) -> str:
    from shoal.serverless.store import accounts

    if chosen.days is not None and not 0 < chosen.days <= 36_500:
        raise ValueError(f"--days={chosen.days}: expected more than 0, and at most 36500")
    seconds = None if chosen.days is None else chosen.days * 86_400
    text, token = _with_store(
        chosen,
        lambda store: store.write(
            accounts.add_token, chosen.name, label=chosen.label, seconds=seconds
        ),
    )
    return _dumped({**_token_shown(token), "token": text}) if chosen.json else f"{text}\n"


def _token_list(chosen: argparse.Namespace) -> str:
    from shoal.serverless.store import accounts

    found = _with_store(chosen, lambda store: store.read(accounts.tokens, chosen.name))
    shown = [_token_shown(token) for token in found]
    if chosen.json:
        return _dumped(shown)
    return "".join(f"{each['id']}  {each['state']:8}  {each['label']}\n" for each in shown)


def _token_revoke(chosen: argparse.Namespace) -> str:
    from shoal.serverless.store import accounts

    _with_store(chosen, lambda store: store.write(accounts.revoke, chosen.name, chosen.token_id))
    said = f"{chosen.token_id} is revoked; a gateway that runs notices within a second.\n"
    return _dumped({"id": chosen.token_id}) if chosen.json else said


def _with_store(chosen: argparse.Namespace, work: Callable[[Store], T]) -> T:
    """Does something with the store; a gateway may be running on it."""
    from shoal.serverless.settings import load
    from shoal.serverless.store import Store

    with Store(load({"data": chosen.data}).data) as store:
        return work(store)


def _password() -> str:
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\n")
    first = getpass.getpass("Password: ")
    if getpass.getpass("Again: ") != first:
        raise ValueError("the two passwords differ")
    return first


def _account_shown(account: Account) -> dict[str, Any]:
    return {
        "name": account.name,
        "is_admin": account.is_admin,
        "is_removed": account.is_disabled,
        "has_password": account.password_hash is not None,
        "created": account.created_at.isoformat(),
    }


def _remarks(account: Account) -> str:
    said = {"administrator": account.is_admin, "removed": account.is_disabled}
    remarks = ", ".join(name for name, is_so in said.items() if is_so)
    return f" ({remarks})" if remarks else ""


def _token_shown(token: Token) -> dict[str, Any]:
    from datetime import UTC, datetime

    if token.revoked_at is not None:
        state = "revoked"
    elif token.expires_at is not None and token.expires_at <= datetime.now(UTC):
        state = "expired"
    else:
        state = "valid"
    return {
        "id": token.id,
        "label": token.label,
        "state": state,
        "created": token.created_at.isoformat(),
        "expires": None if token.expires_at is None else token.expires_at.isoformat(),
    }


def _dumped(value: object) -> str:
    return f"{json.dumps(value, indent=2)}\n"
