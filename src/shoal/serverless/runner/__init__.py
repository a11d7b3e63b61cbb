"""The runner: starts each attempt of a job at most once, and records its end exactly once."""

from shoal.serverless.runner.launching import data_folder
from shoal.serverless.runner.logs import LogPart, read_log, read_tail
from shoal.serverless.runner.places import Place
from shoal.serverless.runner.runner import Runner

__all__ = ["LogPart", "Place", "Runner", "data_folder", "read_log", "read_tail"]
