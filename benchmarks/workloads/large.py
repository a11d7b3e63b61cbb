"""Large results: 1 MB from every task."""

import numpy as np

from workloads import Workload


def megabyte(i):
    return np.full(131_072, float(i))


def tasks(quick, repetition):
    count = 100 if quick else 1000
    return megabyte, list(range(repetition, repetition + count))


WORKLOADS = {
    "large": Workload("1,000 tasks that each return 1 MB", tasks, chunk=10, rounds=4),
}
