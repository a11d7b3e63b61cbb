"""Values as JSON text, in the form that the published clients write and read.

What JSON does not know becomes ``{"__type__": name, "__value__": content}``, with the names and
contents of `RuntimeEncoder` and `RuntimeDecoder` of qiskit-ibm-runtime 0.50 and of the encoder that
qiskit-serverless 0.37 builds on them: circuits as compressed QPY, arrays as compressed ``.npy``.

Runs on the standard library of Python 3.9; numpy, scipy and qiskit are used where a value needs
them. Nothing is unpickled, and no module is imported because a text names it, but for those of
Qiskit's operators.
"""

from __future__ import annotations

import json
from typing import Any

from shoal.serverless.encoding import reading, writing

__all__ = ["Decoder", "Encoder", "decode", "encode"]


def encode(value: Any) -> str:
    """A value as JSON text.

    Args:
        value: Of JSON's types, and in them: complex numbers, sets, dates, numpy arrays and scalars,
            scipy's sparse matrices; Qiskit's circuits, instructions, parameters, operators, results
            and the containers of its primitives; Aer's noise models. Tuples become lists and the
            keys of dictionaries become strings, as in JSON; NaN and infinities are written as
            Python's `json` writes them.

    Raises:
        TypeError: If something in it cannot be written; names the place.
        ValueError: If it contains itself, or is nested too deeply.

    Example:
        >>> encode({"z": 1 + 2j, "pair": (1, 2)})
        '{"z": {"__type__": "complex", "__value__": [1.0, 2.0]}, "pair": [1, 2]}'
    """
    try:
        return json.dumps(value, cls=Encoder)
    except TypeError as error:
        raise TypeError(_misfit(value, "value") or str(error)) from error
    except RecursionError as error:
        raise ValueError("value is nested too deeply to be written as JSON") from error


def decode(text: str, *, services: bool = False) -> Any:
    """The value that a text stands for.

    Args:
        text: What `encode` or a published client wrote.
        services: Whether a `QiskitRuntimeService` in it is made anew, which takes the account in it
            to its host; otherwise it stays a dictionary. For a job's own arguments only.

    Raises:
        ValueError: If it is not JSON, or a value in it is damaged or of a newer form.
        MissingExtra: If a value in it needs a package that is not installed.

    Example:
        >>> decode(encode({"z": 1 + 2j}))
        {'z': (1+2j)}
    """
    try:
        return json.loads(text, cls=Decoder, services=services)
    except RecursionError as error:
        raise ValueError("the text is nested too deeply to be read") from error


class Encoder(json.JSONEncoder):
    """For `json.dumps`; see `encode`."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._forms: dict[type, writing.Form | None] = {}

    def default(self, o: Any) -> Any:
        """What stands for a value that JSON does not know; raises TypeError if nothing does."""
        kind = type(o)
        if kind not in self._forms:
            self._forms[kind] = writing.form_of(o)
        form = self._forms[kind]
        return writing.by_itself(o) if form is None else form(o)


class Decoder(json.JSONDecoder):
    """For `json.loads`; see `decode`."""

    def __init__(self, *args: Any, services: bool = False, **options: Any) -> None:
        self._services = services
        super().__init__(*args, object_hook=self._revived, **options)

    def _revived(self, found: dict[str, Any]) -> Any:
        name = found.get(writing.TYPE)
        if not isinstance(name, str) or writing.VALUE not in found:
            return found
        if name == "QiskitRuntimeService" and not self._services:
            return found
        return reading.revived(name, found)


def _misfit(value: Any, place: str) -> str | None:
    """Where in a value is something that cannot be written, as a sentence; None if nowhere."""
    if isinstance(value, dict):
        for key in value:
            if not isinstance(key, (str, int, float, type(None))):
                return f"{place} has a key of type {type(key).__name__}: expected text or a number"
        parts = [(f"{place}[{key!r}]", part) for key, part in value.items()]
    elif isinstance(value, (list, tuple)):
        parts = [(f"{place}[{index}]", part) for index, part in enumerate(value)]
    else:
        try:
            json.dumps(value, cls=Encoder)
        except TypeError as error:
            return f"{place} cannot be written as JSON: {error}"
        return None
    try:
        return next((found for at, part in parts if (found := _misfit(part, at))), None)
    except RecursionError:  # it contains itself as well
        return None
