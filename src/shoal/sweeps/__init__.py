"""Sweeps: named parameters in, a labelled dataset out, nothing lost on the way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shoal.sweeps.outputs import OutputMismatch
from shoal.sweeps.sweeping import PointsFailed, sweep

if TYPE_CHECKING:
    from shoal.sweeps.adaptive import sample
    from shoal.sweeps.labelled.accessor import SweepAccessor
    from shoal.sweeps.labelled.export import read

__all__ = ["OutputMismatch", "PointsFailed", "SweepAccessor", "read", "sample", "sweep"]

_LATER = {
    "SweepAccessor": "shoal.sweeps.labelled.accessor",
    "read": "shoal.sweeps.labelled.export",
    "sample": "shoal.sweeps.adaptive",
}


def __getattr__(name: str) -> Any:
    """Imports what needs xarray or adaptive when it is first used."""
    if name not in _LATER:
        raise AttributeError(f"module 'shoal.sweeps' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_LATER[name]), name)
