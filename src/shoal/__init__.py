"""shoal: one function over many independent inputs, in parallel, with the serial loop's results."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from shoal.sweeps import sweep
    from shoal.tasks import executor, failure, imap, map, register_joblib

__all__ = ["__version__", "executor", "failure", "imap", "map", "register_joblib", "sweep"]

__version__ = "0.1.0"

_FACE = {
    **dict.fromkeys(("executor", "failure", "imap", "map", "register_joblib"), "shoal.tasks"),
    "sweep": "shoal.sweeps",
}


def __getattr__(name: str) -> object:
    """Imports the room behind a public name when the name is first used."""
    if name not in _FACE:
        raise AttributeError(f"module 'shoal' has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(_FACE[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
