"""Clusters that tests share: started at their first use, ended when the last of them is done."""

import gc
import warnings

from shoal.tasks import clusters
from shoal.tasks.clusters import connections


def kept(name):
    """Ray or Dask on this machine, with room for two tasks at least."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # Ray forgets sockets and files
        cluster = clusters.kept(name, threads_per_task=1, max_workers=2)
        gc.collect()
    return cluster


def end():
    """Ends them now: both take a tenth of a core while nobody asks them for anything."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # as above
        connections._close_all()
        gc.collect()
