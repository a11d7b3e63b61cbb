"""A plugin for pytest: every circuit of the parallel device runs in a worker, single ones too."""

from shoal.quantum.pennylane.batch import Batch


def run_in_workers(batch, items):
    """Stands in for `Batch.run`."""
    batch.crew.warm_up(batch.base_name, batch.recipe)
    batch.max_job_size = 1
    key = (batch.how[0].method, batch.wires, False)
    return batch._there(items, [1.0] * len(items), key, 2) if items else []


def pytest_configure():
    Batch.run = run_in_workers
