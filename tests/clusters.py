"""Clusters that all tests share: started at their first use, ended with the test run."""

import gc
import warnings

from shoal.tasks import clusters


def kept(name):
    """Ray or Dask on this machine, with room for two tasks at least."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # Ray forgets sockets and files
        cluster = clusters.kept(name, threads_per_task=1, max_workers=2)
        gc.collect()
    return cluster
