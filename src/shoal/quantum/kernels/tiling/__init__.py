"""A kernel matrix in tiles: the unit of scheduling, retry, progress and checkpoint."""

from shoal.quantum.kernels.tiling.running import Computed, Options, compute, described, workers_of
from shoal.quantum.kernels.tiling.task import Drawing

__all__ = ["Computed", "Drawing", "Options", "compute", "described", "workers_of"]
