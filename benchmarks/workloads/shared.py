"""One large array that every task reads: how often does it travel?"""

from functools import partial

import numpy as np

from workloads import LOCAL, Workload


def pick(array, i):
    return float(array[i % array.size])


def tasks_on_one_array(quick, repetition):
    """Make a new array each time, so that nothing kept from the last call is of use."""
    array = np.arange(1_000_000.0) + repetition
    return partial(pick, array), list(range(100 if quick else 1000))


WORKLOADS = {
    "shared": Workload(
        "One 8 MB array shared by 1,000 tasks",
        tasks_on_one_array,
        peers=(*LOCAL, "mpire, shared_objects", "shared memory by hand"),
        chunk=50,
    ),
}
