"""Arguments against a program's JSON schema, in a process of its own with an end in time and space.

A schema may hold a pattern on which Python's regular expressions take for ever. So neither a schema
nor what it is applied to is looked at in the gateway's own process.
"""

from __future__ import annotations

import json
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from shoal.errors import MissingExtra
from shoal.serverless.gateway import checking
from shoal.serverless.gateway.asking import bad
from shoal.serverless.gateway.gateway import Gateway

SCHEMA_BYTES = 64 * 1024
SECONDS = 30.0  # of the clock; of the processor it gets far less
_COMMAND = (sys.executable, "-I", str(Path(checking.__file__)))


async def check_schema(gateway: Gateway, schema: Any) -> None:
    """Raises Refusal 400 for what is no schema; none at all is fine."""
    if schema is None or schema == {}:
        return
    if len(json.dumps(schema)) > SCHEMA_BYTES:
        raise bad(f"arguments_schema is too large: at most {SCHEMA_BYTES} bytes are accepted.")
    await _ask(gateway, {"schema": schema})


async def check(gateway: Gateway, schema: Any, arguments: str) -> None:
    """Raises Refusal 400 for arguments that do not fit; without a schema, everything does."""
    if schema is not None and schema != {}:
        await _ask(gateway, {"schema": schema, "arguments": arguments})


async def _ask(gateway: Gateway, question: dict[str, Any]) -> None:
    if find_spec("jsonschema") is None:
        raise MissingExtra(
            "argument schemas need jsonschema, which is not installed: pip install 'shoal[serve]'"
        )
    said = await gateway.output_of(_COMMAND, json.dumps(question).encode(), seconds=SECONDS)
    if said is None:
        raise bad("The arguments could not be checked against their schema within the limits.")
    message = json.loads(said).get("message")
    if message:
        raise bad(f"{message}.")
