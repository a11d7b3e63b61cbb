"""A plugin for pytest: every circuit of the parallel device runs in a worker, single ones too."""

from shoal.quantum.pennylane.batch import Batch


def _run(batch, items):
    batch.crew.warm_up(batch.base_name, batch.recipe)
    batch.max_job_size = 1
    key = (batch.how[0].method, batch.wires, False)
    return batch._there(items, [1.0] * len(items), key, 2) if items else []


Batch.run = _run
