"""A progress bar in terminals and notebooks, for calls that take longer than a moment."""

from __future__ import annotations

import sys
from typing import Any

DELAY_SECONDS = 0.5


class Progress:
    """Counts finished tasks; shows them by tqdm when asked to, or when somebody is looking."""

    def __init__(
        self, wanted: bool | None, total: int | None, name: str, *, unit: str = "task"
    ) -> None:
        """Decides whether to show anything.

        Args:
            wanted: True shows a bar at once, False never; None shows one in a terminal or
                notebook when the call takes longer than half a second.
            total: Number of tasks, or None where it is not known.
            name: What the bar is called.
            unit: What it counts.
        """
        self._bar: Any = None
        if wanted is False or (wanted is None and not _watched()):
            return
        self._bar = _bar_class()(
            total=total,
            desc=name,
            unit=unit,
            delay=0 if wanted else DELAY_SECONDS,
            dynamic_ncols=True,
            smoothing=0.1,
        )

    def add(self, count: int) -> None:
        """Counts `count` more finished tasks."""
        if self._bar is not None:
            self._bar.update(count)

    def close(self) -> None:
        """Leaves the bar as it is."""
        if self._bar is not None:
            self._bar.close()


def _in_notebook() -> bool:
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return shell is not None and hasattr(shell, "kernel")


def _watched() -> bool:
    stream = sys.stderr
    return _in_notebook() or (stream is not None and stream.isatty())


def _bar_class() -> Any:
    from tqdm import tqdm

    if not _in_notebook() or "ipywidgets" not in sys.modules:
        return tqdm
    from tqdm.notebook import tqdm as tqdm_notebook

    return tqdm_notebook
