"""Talks to a gateway: uploads programs, runs them, follows jobs and fetches results."""

from shoal.serverless.client.files import Files
from shoal.serverless.client.jobs import Job
from shoal.serverless.client.programs import Program
from shoal.serverless.client.services import ServerlessClient, ServerlessProvider
from shoal.serverless.client.terminals import inert
from shoal.serverless.client.updates import State

__all__ = ["Files", "Job", "Program", "ServerlessClient", "ServerlessProvider", "State", "inert"]
