"""Logging in with a name and a password, for the clients that know no token."""

from __future__ import annotations

from starlette.responses import Response

from shoal.serverless.gateway.asking import Asked, bad, name_of, text_of
from shoal.serverless.gateway.gateway import Gateway
from shoal.serverless.gateway.people import LOGIN_TOKEN_SECONDS, found
from shoal.serverless.gateway.web.json_text import dumped
from shoal.serverless.store import Transaction, accounts

_FORM_BYTES = 16 * 1024


async def login(gateway: Gateway, asked: Asked) -> Response:
    """Gives a token for a name and its password."""
    fields = await asked.fields(most_bytes=_FORM_BYTES)
    name, password = name_of(fields.values, "username"), text_of(fields.values, "password")
    who = (name, asked.client)
    throttle = gateway.logins.throttle
    throttle.check(who)
    account = await gateway.read(found, name)
    if not await gateway.logins.check(account, password):
        throttle.failed(who)
        raise bad("Unable to log in: the name or the password is wrong.")
    throttle.succeeded(who)
    token = await gateway.write(_new_token, name)
    return Response(
        dumped({"access": token, "token_type": "Bearer"}), media_type="application/json"
    )


def _new_token(transaction: Transaction, name: str) -> str:
    accounts.drop_expired(transaction)
    text, _ = accounts.add_token(transaction, name, label="login", seconds=LOGIN_TOKEN_SECONDS)
    return text
