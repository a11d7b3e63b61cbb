"""Clusters as executors: Ray and Dask, which run our batches as tasks of theirs."""

from shoal.tasks.clusters.connections import executor_on, kept, of_client
from shoal.tasks.clusters.dispatcher import ClusterDispatcher
from shoal.tasks.clusters.executor import ClusterExecutor
from shoal.tasks.clusters.there import inside_task

__all__ = [
    "ClusterDispatcher",
    "ClusterExecutor",
    "executor_on",
    "inside_task",
    "kept",
    "of_client",
]
