"""The targets: what shoal set out to reach, as ratios and sizes taken from the measurements."""

from dataclasses import dataclass
from operator import ge, le
from statistics import median

from measure import counted, ratios, values

TUNED = ("ProcessPoolExecutor, chunked", "multiprocessing.Pool", "joblib", "loky, chunked")
SLOW_STARTERS = (
    "joblib",
    "loky, chunked",
    "ProcessPoolExecutor, chunked, forkserver",
    "ProcessPoolExecutor, chunked, spawn",
    "multiprocessing.Pool, forkserver",
)
SIGNS = {"≥": ge, "≤": le}


@dataclass(frozen=True)
class Target:
    """One number to reach.

    Attributes:
        workload: name of the workload whose records decide.
        wanted: what is wanted, for a reader.
        key: the measurement that `limit` is of, which tells its unit; or "ratio".
        sign: "≥" or "≤".
        limit: the number.
        reached: called with the workload's records, returns the number measured.
    """

    workload: str
    wanted: str
    key: str
    sign: str
    limit: float
    reached: object

    def met(self, number):
        """Tell whether a number is enough."""
        return SIGNS[self.sign](number, self.limit)


def share_of(reference):
    return lambda records: median(ratios(records, reference, "shoal", "seconds"))


def lead_over(rivals, key):
    """Measure the best rival's time over shoal's, in the same rounds."""
    return lambda records: min(
        median(ratios(records, rival, "shoal", key)) for rival in rivals if counted(records, rival)
    )


def typical(key):
    return lambda records: median(values(records, "shoal", key))


def largest(key):
    return lambda records: max(values(records, "shoal", key))


TARGETS = (
    Target("sweep", "warm sweep, share of the ceiling", "ratio", "≥", 0.95, share_of("ceiling")),
    Target(
        "sweep",
        "warm sweep, the best tuned peer's time over shoal's",
        "ratio",
        "≥",
        0.98,
        lead_over(TUNED, "seconds"),
    ),
    Target(
        "sweep-slow", "9 ms tasks, share of the ceiling", "ratio", "≥", 0.95, share_of("ceiling")
    ),
    Target(
        "sweep-cold",
        "cold sweep, time of the best of joblib, loky, spawn and forkserver pools over shoal's",
        "ratio",
        "≥",
        1.0,
        lead_over(SLOW_STARTERS, "call_seconds"),
    ),
    Target("tiny", "tiny tasks", "tasks_per_second", "≥", 3e6, typical("tasks_per_second")),
    Target(
        "tiny-lambda",
        "tiny tasks, a lambda in `__main__`",
        "tasks_per_second",
        "≥",
        3e6,
        typical("tasks_per_second"),
    ),
    Target("shared", "one 8 MB array, 1,000 tasks", "seconds", "≤", 0.025, typical("seconds")),
    Target("large", "1,000 results of 1 MB", "seconds", "≤", 0.7, typical("seconds")),
    Target("trip", "one round trip, median", "seconds", "≤", 100e-6, typical("seconds")),
    Target(
        "first", "import to first result", "import_seconds", "≤", 0.25, typical("import_seconds")
    ),
    Target("memory", "growth of the parent", "growth_mb", "≤", 10.0, largest("growth_mb")),
    Target(
        "memory-ahead",
        "inputs read ahead, of 5,000, the reader asleep for 1 s",
        "ahead_later",
        "≤",
        1000,
        largest("ahead_later"),
    ),
    Target("uneven", "computing, share of the ceiling", "ratio", "≥", 0.91, share_of("ceiling")),
    Target(
        "uneven",
        "computing, share of the ideal schedule",
        "ratio",
        "≥",
        0.91,
        share_of("ideal schedule"),
    ),
    Target(
        "uneven-sleep",
        "sleeping, share of the ideal schedule",
        "ratio",
        "≥",
        0.91,
        share_of("ideal schedule"),
    ),
)
