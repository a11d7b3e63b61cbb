"""What this machine lets us use: cores, threads of numerical libraries, and why workers died."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OMP_THREAD_LIMIT",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "RAYON_NUM_THREADS",
    "POLARS_MAX_THREADS",
)


def thread_environment(threads: int) -> dict[str, str]:
    """The variables that hold numerical libraries to `threads` threads.

    They are set before a worker imports anything: most libraries read them only then.
    `OMP_THREAD_LIMIT` is among them because some libraries ask OpenMP for more threads than
    `OMP_NUM_THREADS` names.
    """
    return dict.fromkeys(THREAD_VARIABLES, str(threads))


def available_cores() -> int:
    """Cores this process may use: its affinity and its cgroup's quota respected; at least 1."""
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    quota = _own_quota()
    return max(1, cores if quota is None else min(cores, math.ceil(quota)))


@lru_cache(maxsize=1)
def _own_quota() -> float | None:
    return _cgroup_quota(Path("/proc/self/cgroup"), Path("/sys/fs/cgroup"))


def _cgroup_quota(membership: Path, root: Path) -> float | None:
    """CPU quota in cores of the tightest cgroup around this process, or None.

    See "Control Group v2", cpu.max, and "CFS Bandwidth Control" in the Linux documentation.
    """
    try:
        lines = membership.read_text().splitlines()
    except OSError:
        return None
    quotas: list[float] = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            quotas += _quotas_upwards(root, path, _quota_v2)
            quotas += _quotas_upwards(root / "unified", path, _quota_v2)
        elif "cpu" in controllers.split(","):
            quotas += _quotas_upwards(root / "cpu", path, _quota_v1)
    return min(quotas, default=None)


def _quotas_upwards(root: Path, path: str, read: Callable[[Path], float | None]) -> list[float]:
    found = []
    folder = root / path.strip("/")
    while True:
        quota = read(folder)
        if quota is not None:
            found.append(quota)
        if folder == root or root not in folder.parents:
            return found
        folder = folder.parent


def _quota_v2(folder: Path) -> float | None:
    try:
        quota, period = (folder / "cpu.max").read_text().split()
        return None if quota == "max" else int(quota) / int(period)
    except (OSError, ValueError):
        return None


def _quota_v1(folder: Path) -> float | None:
    try:
        quota = int((folder / "cpu.cfs_quota_us").read_text())
        period = int((folder / "cpu.cfs_period_us").read_text())
    except (OSError, ValueError):
        return None
    return quota / period if quota > 0 else None


def out_of_memory_kills() -> int:
    """How many processes the kernel has killed for want of memory since it started; 0 if unknown.

    Counted system-wide, limits of single cgroups included (``oom_kill`` in ``/proc/vmstat``).
    """
    try:
        found = re.search(r"^oom_kill (\d+)$", Path("/proc/vmstat").read_text(), re.MULTILINE)
    except OSError:
        return 0
    return int(found[1]) if found else 0


_counted = 0


def new_out_of_memory_kills() -> int:
    """How many such kills there were since this was last asked: each explains one death only."""
    global _counted
    before, _counted = _counted, out_of_memory_kills()
    return _counted - before
