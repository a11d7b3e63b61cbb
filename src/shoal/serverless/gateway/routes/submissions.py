"""Running a program: the request that becomes a job, once, however often it is sent."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import partial
from http import HTTPStatus
from typing import Any

from starlette.responses import Response

from shoal.serverless.gateway.asking import Asked, bad, text_of
from shoal.serverless.gateway.gateway import Gateway
from shoal.serverless.gateway.routes import schemas
from shoal.serverless.gateway.routes.jobs import shown
from shoal.serverless.gateway.routes.programs import (
    FORM_BYTES,
    INLINE_BYTES,
    given_arguments,
    keep,
    received,
    title_of,
)
from shoal.serverless.gateway.web.json_text import dumped
from shoal.serverless.gateway.web.refusals import Refusal
from shoal.serverless.identifiers import new_id
from shoal.serverless.models import NewJob, NewProgram, Payload, Principal, Program, Quotas
from shoal.serverless.store import Submitted, Transaction, jobs

_MOST_KEY_CHARACTERS = 255
_MOST_ATTEMPTS = 100
_CONFIG_BYTES = 16 * 1024
_SCHEMA_CHANGES = 5  # how often the program may get another schema while its job is submitted


async def run(gateway: Gateway, asked: Asked) -> Response:
    """Queues a job of a program; uploads the program first if the request brings its archive."""
    settings = gateway.settings
    # Within a JSON text every quotation mark takes two bytes.
    most = max(2 * settings.arguments_bytes, settings.arguments_bytes + settings.artifact_bytes)
    fields = await asked.fields(most_bytes=most + FORM_BYTES, most_text=settings.arguments_bytes)
    brought = await received(gateway, fields) if "artifact" in fields.files else None
    text = await given_arguments(gateway, fields.values)
    new = _new_job(asked, fields.values, await _packed(gateway, text), text, brought)
    submitted = await _admitted(gateway, asked.principal, brought, new, text)
    headers = {} if submitted.is_new else {"Idempotent-Replayed": "true"}
    body = dumped(shown(submitted.job))
    return Response(body, headers=headers, media_type="application/json")


async def _packed(gateway: Gateway, text: str) -> Payload:
    if len(text) <= INLINE_BYTES // 4:
        return Payload.of(text)
    return await gateway.apart(gateway.store.blobs.pack, text)


def _new_job(
    asked: Asked,
    values: Mapping[str, Any],
    arguments: Payload,
    text: str,
    brought: NewProgram | None,
) -> NewJob:
    provider, title = title_of(values)
    config = _config(values)
    attempts = values.get("max_attempts", 1)
    if isinstance(attempts, bool) or attempts not in range(1, _MOST_ATTEMPTS + 1):
        raise bad(f"max_attempts: expected a whole number from 1 to {_MOST_ATTEMPTS}.")
    key = asked.headers.get("idempotency-key")
    digest = None
    if key is not None:
        if not 1 <= len(key) <= _MOST_KEY_CHARACTERS or not key.isprintable():
            raise bad(f"Idempotency-Key: expected 1 to {_MOST_KEY_CHARACTERS} printable characters")
        artifact = None if brought is None else brought.artifact_sha256
        said = json.dumps([provider, title, config, attempts, artifact, text], sort_keys=True)
        digest = hashlib.sha256(said.encode()).hexdigest()
    return NewJob(new_id(), title, arguments, provider, config, key, digest, attempts)


def _config(values: Mapping[str, Any]) -> dict[str, Any]:
    """What was said of workers and the like, kept as it was."""
    config = values.get("config") or {}
    if isinstance(config, str):
        try:
            config = json.loads(config) or {}
        except (ValueError, RecursionError) as error:
            raise bad(f"config is not JSON: {error}.") from error
    if not isinstance(config, dict):
        raise bad("config: expected an object.")
    sizes = {
        name: size
        for name in ("function_size", "compute_profile")
        if (size := text_of(values, name, ""))
    }
    config = {**config, **sizes}
    if len(json.dumps(config)) > _CONFIG_BYTES:
        message = f"config is too large: at most {_CONFIG_BYTES} bytes are accepted."
        raise Refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, message)
    return config


class _Unchecked(Exception):
    """The program has a schema to which the arguments were not held yet."""

    def __init__(self, schema: Any) -> None:
        super().__init__("the arguments were not checked")
        self.schema = schema


async def _admitted(
    gateway: Gateway, principal: Principal, brought: NewProgram | None, new: NewJob, text: str
) -> Submitted:
    """Submits the job once its arguments fit; most programs have no schema and cost no look."""
    checked: Any = None
    for _ in range(_SCHEMA_CHANGES):
        try:
            submit = partial(_submit, brought=brought, new=new, checked=checked)
            return await gateway.write(submit, principal, gateway.settings.quotas)
        except _Unchecked as unchecked:
            checked = unchecked.schema
            await schemas.check(gateway, checked, text)
    raise Refusal(HTTPStatus.CONFLICT, "The program is being changed; try again.")


def _submit(
    transaction: Transaction,
    principal: Principal,
    quotas: Quotas,
    *,
    brought: NewProgram | None,
    new: NewJob,
    checked: Any,
) -> Submitted:
    def admit(program: Program) -> None:
        schema = program.details.get("arguments_schema")
        if schema not in (None, {}) and schema != checked:
            raise _Unchecked(schema)

    if brought is not None:
        keep(transaction, principal, brought)
    return jobs.submit(transaction, principal, new, quotas, admit=admit)
