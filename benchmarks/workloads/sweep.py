"""The sweep: a grid of integrals, beside what the cores themselves can do."""

from overlap import grid, integrate  # examples/spdc, as it stands there

from workloads import LOCAL, Workload

WITH_CEILING = (LOCAL[0], "ceiling", *LOCAL[1:])
CONTENDERS = ("ceiling", "shoal", "ProcessPoolExecutor, chunked", "multiprocessing.Pool")
REFERENCES = {"serial": "speed-up over serial", "ceiling": "share of the ceiling"}


def integrate_often(args):
    """Integrate 62 times: about 9 ms, the order of what one point cost a decade ago."""
    for _ in range(62):
        result = integrate(args)
    return result


def points(quick, _repetition):
    return integrate, grid(30 if quick else 100)


def slow_points(quick, _repetition):
    return integrate_often, grid(6 if quick else 20)


WORKLOADS = {
    "sweep": Workload(
        "The SPDC sweep, 10,000 points of about 145 µs, warm",
        points,
        peers=WITH_CEILING,
        chunk=1000,
        contenders=CONTENDERS,
        more_rounds=14,
        references=REFERENCES,
    ),
    "sweep-slow": Workload(
        "The same integrals at about 9 ms a task, 400 tasks, warm",
        slow_points,
        peers=tuple(p for p in WITH_CEILING if p not in {"pebble, chunked", LOCAL[3]}),
        rounds=3,
        contenders=("ceiling", "shoal", "ProcessPoolExecutor"),
        more_rounds=4,
        references=REFERENCES,
    ),
    "sweep-cold": Workload(
        "The SPDC sweep in a fresh interpreter, start of the workers included",
        points,
        peers=(
            "serial",
            "shoal",
            "ProcessPoolExecutor, chunked",
            "ProcessPoolExecutor, chunked, forkserver",
            "ProcessPoolExecutor, chunked, spawn",
            "multiprocessing.Pool",
            "multiprocessing.Pool, forkserver",
            "joblib",
            "loky, chunked",
            "mpire",
            "pebble, chunked",
        ),
        chunk=1000,
        rounds=5,
        quick_rounds=1,
        warm=False,
        columns={
            "call_seconds": "call → result",
            "import_seconds": "import → result",
            "exec_seconds": "exec → result",
        },
        references={"serial": "speed-up over serial"},
    ),
}
