"""State vectors of a feature map, for blocks of samples."""

from shoal.quantum.kernels.states.preparing import Preparation, prepare

__all__ = ["Preparation", "prepare"]
