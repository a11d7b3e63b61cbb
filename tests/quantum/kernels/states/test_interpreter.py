import threading

import numpy as np

from shoal.quantum.kernels.states import prepare
from tests.quantum.kernels.tables import rows_of, table_of


def test_threads_compute_at_the_same_time_what_each_computes_alone():
    gates = [("h", [wire]) for wire in range(6)] + [("crz", [wire, wire + 1]) for wire in range(5)]
    table = table_of(6, [*gates, ("ry", [3]), ("ccx", [0, 1, 2]), ("rx", [5])])
    blocks = [rows_of(seed, 20) for seed in range(4)]
    alone = [prepare(table, rows) for rows in blocks]
    found = [None] * 4

    def run(place):
        found[place] = prepare(table, blocks[place])

    threads = [threading.Thread(target=run, args=(place,)) for place in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for one, other in zip(found, alone, strict=True):
        np.testing.assert_array_equal(one, other)
