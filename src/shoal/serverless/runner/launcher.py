"""Starts the shim of a prepared attempt: from the template if there is one, else a new process."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import NamedTuple

from shoal.serverless.models import Job
from shoal.serverless.runner import forking
from shoal.serverless.runner.launching import SHIM, clear, common_environment, prepare, start_shim
from shoal.serverless.runner.places import Place
from shoal.serverless.settings import Settings
from shoal.serverless.store import Claim, Store


class Started(NamedTuple):
    """A shim under way.

    Attributes:
        shim: Its process id, if it is our child.
        handle: Of its process, if it is not.
        begun: A pipe that gets one byte once the program runs.
    """

    shim: int | None
    handle: int | None
    begun: int


class Launcher:
    """Prepares and starts attempts."""

    def __init__(
        self, store: Store, settings: Settings, gateway: str, shim: Sequence[str] = SHIM
    ) -> None:
        """Starts no process yet; `tend` does.

        Args:
            gateway: The address at which jobs reach the gateway.
            shim: The command of the shim; with one of its own there is no template.
        """
        self._store = store
        self._settings = settings
        self._gateway = gateway
        self._shim = tuple(shim)
        self.template: forking.Template | None = None
        if settings.fast_start and self._shim == SHIM and forking.is_possible():
            self.template = forking.Template(
                settings.job_python,
                settings.job_imports,
                common_environment(settings, os.environ),
                settings.data / "template",
            )

    def tend(self) -> None:
        """Sees to the template; to be called now and then."""
        if self.template is not None:
            self.template.tend()

    def close(self) -> None:
        """Ends the template; jobs live on."""
        if self.template is not None:
            self.template.close()

    def prepare(self, claim: Claim, place: Place) -> None:
        """As `launching.prepare`."""
        prepare(claim, place, self._store, self._settings, self._gateway)

    def clear(self, job: Job, place: Place) -> None:
        """As `launching.clear`."""
        clear(job, place, self._settings)

    def start(self, claim: Claim, place: Place) -> Started:
        """Starts the shim of a prepared attempt.

        A program that comes with variables of its own gets a new interpreter: what is imported
        already may have looked at them.
        """
        begun, tell = os.pipe()
        try:
            shim, handle = None, None
            if self.template is not None and not claim.program.details.get("env_vars"):
                handle = self.template.fork(place, claim.program.entrypoint, tell)
            if handle is None:
                shim = start_shim(place, tell, self._shim)
        except BaseException:
            os.close(begun)
            raise
        finally:
            os.close(tell)
        return Started(shim, handle, begun)
