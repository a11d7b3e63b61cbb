"""A plugin for pytest: every circuit of the parallel device runs in a worker, single ones too."""

from shoal.quantum.pennylane.batch import Batch


def run_in_workers(batch):
    """Stands in for `Batch.run`."""
    batch.crew.warm_up(batch.base_name, batch.recipe)
    batch.max_job_size = 1
    key = (batch.how[0].method, batch.wires, False)
    return batch._there(0, [1.0] * len(batch.items), key, 2) if batch.items else []


def pytest_configure():
    Batch.run = run_in_workers
