"""What base devices tell their trackers, brought back from where they run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

Updates = list[dict[str, Any] | None]


class Recorder:
    """Stands in for a `pennylane.Tracker`: remembers updates, and None for each `record`."""

    active = True

    def __init__(self) -> None:
        self.updates: Updates = []

    def update(self, **told: Any) -> None:
        """Remembers what is told."""
        self.updates.append(told)

    def record(self) -> None:
        """Remembers that what was told is complete."""
        self.updates.append(None)


@contextmanager
def recorded(device: Any, *, wanted: bool) -> Iterator[Updates]:
    """Collects what the device tells its tracker meanwhile."""
    if not wanted:
        yield []
        return
    recorder, before = Recorder(), device.tracker
    device.tracker = recorder
    try:
        yield recorder.updates
    finally:
        device.tracker = before


def replay(tracker: Any, told: Iterable[Updates]) -> None:
    """Tells a tracker what one call of the base device with all tapes would have told it.

    Every tape was a call of its own. What counts calls (names that end in ``batches``) counts
    once, and what stands beside it is added up.
    """
    together: list[dict[str, Any]] = []
    singly: Updates = []
    leads = False
    for updates in told:
        calls, after_call = 0, False
        for update in updates:
            if update is None:
                if not after_call:
                    singly.append(None)
            elif after_call := any(name.endswith("batches") for name in update):
                leads = leads or not (together or singly)
                if calls == len(together):
                    together.append({})
                _add(together[calls], update)
                calls += 1
            else:
                singly.append(update)
    whole: Updates = [update for each in together for update in (each, None)]
    for update in [*whole, *singly] if leads else [*singly, *whole]:
        if update is None:
            tracker.record()
        else:
            tracker.update(**update)


def _add(total: dict[str, Any], update: dict[str, Any]) -> None:
    for name, value in update.items():
        once = name.endswith("batches") or name not in total
        total[name] = value if once else total[name] + value
