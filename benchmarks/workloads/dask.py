"""Dask: the sweep and tiny tasks, by hand and through shoal, as in `ray.py`."""

from workloads import Workload, timed_again
from workloads.ray import PER_TASK, REFERENCES, TASKS_PER_SECOND, a_million
from workloads.sweep import points

PEERS = (
    "shoal on Dask",
    "shoal on a Dask Client",
    "Dask client.map",
    "Dask, chunks of 50",
    "Dask, chunks of 1,000",
)

WORKLOADS = {
    "dask": Workload(
        "The SPDC sweep on Dask, 10,000 points of about 145 µs, warm",
        points,
        peers=("serial", "ceiling", *PEERS),
        repeat=timed_again,
        rounds=5,
        warm=False,
        columns=PER_TASK,
        references={**REFERENCES, "Dask client.map": "speed-up over client.map"},
    ),
    "dask-tiny": Workload(
        "1,000,000 tasks of x + 1 on Dask",
        a_million,
        peers=("serial", *PEERS),
        repeat=timed_again,
        rounds=3,
        warm=False,
        columns=TASKS_PER_SECOND,
    ),
}
