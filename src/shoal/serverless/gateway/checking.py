"""Applies a JSON schema; runs by itself, and says on its output what is wrong, or nothing.

``python -I checking.py`` reads an object with ``schema`` and, to apply it, ``arguments`` as text.
"""

import json
import resource
import sys

CPU_SECONDS = 2
MEMORY_BYTES = 1 << 30


def main() -> None:
    """Reads a question, writes an answer: ``{}``, or ``{"message": …}``."""
    for what, most in ((resource.RLIMIT_CPU, CPU_SECONDS), (resource.RLIMIT_AS, MEMORY_BYTES)):
        resource.setrlimit(what, (most, most))
    json.dump(answer(json.load(sys.stdin)), sys.stdout)


def answer(question: dict[str, object]) -> dict[str, str]:
    """What is wrong with the schema, or with the arguments; nothing if they fit."""
    from jsonschema import (
        Draft202012Validator,
        SchemaError,
        ValidationError,
    )
    from jsonschema.validators import validator_for
    from referencing import Registry
    from referencing.exceptions import Unresolvable

    schema = question["schema"]
    try:
        kind = validator_for(schema, default=Draft202012Validator)
        kind.check_schema(schema)
        if "arguments" in question:
            # An empty registry: a reference to somewhere else is never followed.
            kind(schema, registry=Registry()).validate(json.loads(str(question["arguments"])))
    except SchemaError as error:
        return {"message": f"arguments_schema is no JSON schema: {error.message[:1000]}"}
    except ValidationError as error:
        place = error.json_path.removeprefix("$").removeprefix(".")
        where = f" (at {place[:200]})" if place else ""
        return {"message": f"The arguments do not fit their schema{where}: {error.message[:1000]}"}
    except Unresolvable as error:
        return {"message": f"arguments_schema refers to what is not in it: {error}"}
    except RecursionError:
        return {"message": "arguments_schema, or the arguments, are nested too deeply"}
    return {}


if __name__ == "__main__":
    main()
