"""Ray: the sweep and tiny tasks, by hand and through shoal.

A cluster that waits takes some hundredths of a core, so none does: each is started for its turn,
warmed up by the same map, and ended.
"""

from workloads import Workload, timed_again
from workloads.sweep import points
from workloads.tiny import add_one

PER_TASK = {"task_seconds": "time a task", "tasks": "tasks", "seconds": "time"}
TASKS_PER_SECOND = {"tasks_per_second": "tasks/s", "tasks": "tasks", "seconds": "time"}
REFERENCES = {"serial": "speed-up over serial", "ceiling": "share of the ceiling"}
PEERS = (
    "shoal on Ray",
    "Ray per task",
    "Ray, chunks of 50",
    "Ray, chunks of 1,000",
    "ray.util.multiprocessing.Pool",
)


def a_million(quick, _repetition):
    return add_one, list(range(100_000 if quick else 1_000_000))


WORKLOADS = {
    "ray": Workload(
        "The SPDC sweep on Ray, 10,000 points of about 145 µs, warm",
        points,
        peers=("serial", "ceiling", *PEERS),
        repeat=timed_again,
        rounds=5,
        contenders=("serial", "ceiling", "shoal on Ray", "Ray, chunks of 1,000"),
        more_rounds=6,
        warm=False,
        columns=PER_TASK,
        references=REFERENCES,
    ),
    "ray-tiny": Workload(
        "1,000,000 tasks of x + 1 on Ray",
        a_million,
        peers=("serial", *PEERS, "Ray, chunks of 20,000"),
        repeat=timed_again,
        rounds=3,
        warm=False,
        columns=TASKS_PER_SECOND,
    ),
}
