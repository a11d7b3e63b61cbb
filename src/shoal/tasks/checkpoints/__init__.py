"""Finished points in a file that survives crashes, and goes on only with what made it."""

from shoal.tasks.checkpoints.checkpoint import Checkpoint, Record, Section
from shoal.tasks.checkpoints.fingerprint import (
    Part,
    differences,
    function_parts,
    part,
    version_parts,
)
from shoal.tasks.checkpoints.summaries import Summary, summary

__all__ = [
    "Checkpoint",
    "Part",
    "Record",
    "Section",
    "Summary",
    "differences",
    "function_parts",
    "part",
    "summary",
    "version_parts",
]
