"""The first result: a fresh interpreter, one task."""

from workloads import Workload
from workloads.tiny import add_one


def one(_quick, _repetition):
    return add_one, [1]


WORKLOADS = {
    "first": Workload(
        "The first result of x + 1 in a fresh interpreter",
        one,
        peers=(
            "serial",
            "shoal",
            "ProcessPoolExecutor",
            "ProcessPoolExecutor, chunked, forkserver",
            "ProcessPoolExecutor, chunked, spawn",
            "multiprocessing.Pool",
            "multiprocessing.Pool, forkserver",
            "joblib",
            "loky, chunked",
            "mpire",
            "pebble, chunked",
        ),
        rounds=7,
        warm=False,
        columns={"import_seconds": "import → result", "exec_seconds": "exec → result"},
    ),
}
