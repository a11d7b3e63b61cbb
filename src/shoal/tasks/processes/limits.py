"""What this machine lets us use: cores, threads of numerical libraries, and why workers died."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from time import monotonic

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


Reader = Callable[[Path], float | None]


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
    return min(_in_cgroups(membership, root, "cpu", _quota_v2, _quota_v1), default=None)


def _in_cgroups(
    membership: Path, root: Path, controller: str, read_v2: Reader, read_v1: Reader
) -> list[float]:
    """What is read in each cgroup around this process, of either version."""
    try:
        lines = membership.read_text().splitlines()
    except OSError:
        return []
    found: list[float] = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            found += _upwards(root, path, read_v2)
            found += _upwards(root / "unified", path, read_v2)
        elif controller in controllers.split(","):
            found += _upwards(root / controller, path, read_v1)
    return found


def _upwards(root: Path, path: str, read: Reader) -> list[float]:
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


def free_memory_bytes() -> int:
    """Memory that can still be used without swapping, the limits of cgroups respected.

    ``MemAvailable`` of ``/proc/meminfo``; in a cgroup, its limit less what it uses, not counting
    the file cache that it can drop. Where the system does not tell: half of all memory.
    """
    try:
        text = Path("/proc/meminfo").read_text()
        found = re.search(r"^MemAvailable: +(\d+) kB$", text, re.MULTILINE)
    except OSError:
        found = None
    free = int(found[1]) * 1024 if found else _all_memory_bytes() // 2
    return int(min([free, *_own_room(int(monotonic()))]))


@lru_cache(maxsize=1)
def _own_room(_second: int) -> list[float]:
    """Room in this process's cgroups; looked up at most once a second, for it takes many files."""
    return _room_in_cgroups(Path("/proc/self/cgroup"), Path("/sys/fs/cgroup"))


def _room_in_cgroups(membership: Path, root: Path) -> list[float]:
    return _in_cgroups(membership, root, "memory", _room_v2, _room_v1)


def _all_memory_bytes() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return 8 << 30


def _room_v2(folder: Path) -> float | None:
    return _room(folder, "memory.max", "memory.current", "inactive_file")


def _room_v1(folder: Path) -> float | None:
    return _room(folder, "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")


def _room(folder: Path, limit: str, usage: str, cache: str) -> float | None:
    try:
        most = (folder / limit).read_text().strip()
        used = int((folder / usage).read_text())
        stat = (folder / "memory.stat").read_text()
        if most == "max":
            return None
        droppable = re.search(rf"^{cache} (\d+)$", stat, re.MULTILINE)
        return max(int(most) - used + (int(droppable[1]) if droppable else 0), 0)
    except (OSError, ValueError):
        return None


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
