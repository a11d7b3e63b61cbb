"""What a function and its inputs consist of, to tell whether they are the same as last time."""

from shoal.tasks.checkpoints.fingerprint.functions import function_parts
from shoal.tasks.checkpoints.fingerprint.parts import Part, differences, part, version_parts

__all__ = ["Part", "differences", "function_parts", "part", "version_parts"]
