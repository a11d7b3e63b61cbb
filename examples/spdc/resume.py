"""A sweep with a checkpoint, killed half-way in a process of its own, and resumed in this one."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from overlap import named_axes, overlap

import shoal
from shoal.errors import CheckpointError
from shoal.tasks import summary

WIDTH = 92  # Characters of a line, and the lines, that are shown of `shoal checkpoint show`.
SHOWN = ("points", "function", "    ", "axis", "version", "session", "damage")


def kill_and_resume(checkpoint, points, workers, uninterrupted):
    """Starts a sweep, kills it half-way, shows its checkpoint, and makes the same call again.

    Args:
        checkpoint: Path of a file; one from an earlier run is removed.
        points: Values along each axis.
        workers: How many to use, as `shoal.sweep` takes it: a dict with ``max_workers``.
        uninterrupted: The dataset of the same sweep without a checkpoint.
    """
    checkpoint.unlink(missing_ok=True)
    status = kill_half_way(checkpoint, points, workers)
    told = "was killed" if status == -signal.SIGKILL else f"ended, with status {status},"
    shown = os.path.relpath(checkpoint)
    print(f'  A process {told} in shoal.sweep(overlap, axes, checkpoint="{shown}").\n')
    print(f"  $ shoal checkpoint show {shown}")
    show(checkpoint)
    start = time.perf_counter()
    pairs = sweep(checkpoint, points, workers)
    seconds = time.perf_counter() - start
    kept = pairs.shoal.provenance["points_from_checkpoint"]
    rest = pairs.overlap.size - kept
    for name in ("overlap", "error"):
        same = pairs[name].values.tobytes() == uninterrupted[name].values.tobytes()
        assert same, "the resumed sweep differs"
    told = f"{kept:,} points taken over, {rest:,} computed, in {seconds:.2f} s"
    print(f"\n  The same call again: {told}.")
    print("  The result equals that of the uninterrupted sweep, bit for bit.")


def sweep(checkpoint, points, workers):
    """Runs the sweep of `overlap` with a checkpoint; returns its dataset."""
    options = {"outputs": ["overlap", "error"], "checkpoint": checkpoint, **workers}
    return shoal.sweep(overlap, named_axes(points), **options)


def kill_half_way(checkpoint, points, workers):
    """Runs the sweep in a process of its own and kills that when half of the points are kept.

    Args:
        checkpoint: Path of a file that does not exist.
        points: Values along each axis.
        workers: How many to use: a dict with ``max_workers``.

    Returns:
        The status of the process: minus SIGKILL, unless it was through before it could be killed.
    """
    words = [str(checkpoint), str(points), str(workers["max_workers"] or "")]
    process = subprocess.Popen([sys.executable, __file__, *words])
    try:
        while process.poll() is None and done(checkpoint) < points**2 / 2:
            time.sleep(0.002)
    finally:
        process.kill()  # The process alone: its workers notice that it is gone, and end.
    return process.wait()


def done(checkpoint):
    """Returns how many points are in a checkpoint; it may be in use, or not be there yet."""
    try:
        return summary(checkpoint).done
    except CheckpointError:
        return 0


def show(checkpoint):
    """Prints what ``shoal checkpoint show`` does, shortened: no docstring, and `SHOWN` lines."""
    command = [sys.executable, "-m", "shoal", "checkpoint", "show", str(checkpoint)]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    before, quotes, after = text.partition('    """')
    text = f"{before}    ...{after.partition(quotes.strip())[2]}" if quotes else text
    for line in (line for line in text.splitlines() if line.startswith(SHOWN)):
        print(f"  {line if len(line) <= WIDTH else f'{line[: WIDTH - 3]}...'}")


if __name__ == "__main__":
    path, points_word, workers_word = sys.argv[1:]
    sweep(Path(path), int(points_word), {"max_workers": int(workers_word or 0) or None})
