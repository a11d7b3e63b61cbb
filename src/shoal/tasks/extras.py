"""Optional dependencies: imported where they are used, or it is said what to install."""

from __future__ import annotations

import importlib
from typing import Any

from shoal.errors import MissingExtra


def require(module: str, *, extra: str, purpose: str) -> Any:
    """Imports an optional dependency.

    Raises:
        MissingExtra: If it is not installed; says what to install.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingExtra(
            f"{purpose} needs {module}, which is not installed: pip install 'shoal[{extra}]'"
        ) from error
