"""Tiny tasks: what a task costs beyond its own work."""

import sys

from workloads import Workload

COLUMNS = {"seconds": "time", "tasks_per_second": "tasks/s"}


def add_one(x):
    return x + 1


def many(quick, _repetition):
    return add_one, list(range(10_000 if quick else 100_000))


def many_from_main(quick, repetition):
    """Make the function in `__main__`, as typed at the end of a script or in a notebook."""
    main = sys.modules["__main__"]
    if not hasattr(main, "add_one"):
        exec("add_one = lambda x: x + 1", vars(main))
    return main.add_one, many(quick, repetition)[1]


WORKLOADS = {
    "tiny": Workload("100,000 tasks of x + 1", many, chunk=5000, columns=COLUMNS),
    "tiny-lambda": Workload(
        "100,000 tasks of x + 1, a lambda in `__main__`",
        many_from_main,
        peers=("serial", "shoal", "multiprocessing.Pool", "joblib", "loky, chunked", "mpire"),
        chunk=5000,
        columns=COLUMNS,
    ),
}
