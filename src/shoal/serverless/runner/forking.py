"""Our end of the template: starts it, has it fork shims, and starts another when it fails."""

from __future__ import annotations

import logging
import os
import select
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path

from shoal.serverless import compat
from shoal.serverless.runner.leftovers import MARK
from shoal.serverless.runner.places import Place

logger = logging.getLogger(__name__)

TEMPLATE = Path(__file__).parent / "template.py"
MARK_BYTES = 80
REPLY_SECONDS = 10.0
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 1.0, 300.0
ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


class Template:
    """A template process, or none for the moment: whoever asks then starts a shim the plain way."""

    def __init__(
        self, python: str, imports: tuple[str, ...], environment: Mapping[str, str], folder: Path
    ) -> None:
        """Starts nothing yet; see `tend`.

        Args:
            python: The interpreter of the jobs.
            imports: The modules that it imports, where they are installed.
            environment: That of the jobs, as far as it is the same for all.
            folder: Where it may keep what it writes.
        """
        self._command = [python, str(TEMPLATE)]
        self._arguments = [str(compat.START), *imports]
        one = dict.fromkeys(ONE_THREAD, "1")
        self._environment = {**environment, **one, MARK: "x" * MARK_BYTES, "HOME": str(folder)}
        self._folder = folder
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._modules: frozenset[str] | None = None
        self._due = 0.0
        self._pause = FIRST_PAUSE_SECONDS

    @property
    def is_ready(self) -> bool:
        """Whether it can fork now."""
        with self._lock:
            return self._has_said_ready()

    def tend(self) -> None:
        """Starts the process if there is none and it is time; to be called now and then."""
        with self._lock:
            if self._process is not None and self._process.poll() is not None:
                self._end("it ended by itself")
            if self._process is None and time.monotonic() >= self._due:
                self._start()

    def fork(self, place: Place, entrypoint: str, notify: int) -> int | None:
        """Has it fork the shim of a prepared attempt.

        Args:
            entrypoint: The program's file, relative to its folder.
            notify: As for a shim.

        Returns:
            A handle of the shim's process; None if it must be started the plain way. That does no
            harm even if there is a fork after all: one of the two decides to start.
        """
        with self._lock:
            if not self._has_said_ready() or self._would_shadow(place, entrypoint):
                return None
            answer, handles = self._asked(str(place.folder), notify)
        if answer == b"started" and handles:
            return handles[0]
        return None

    def close(self) -> None:
        """Ends the process; its forks live on."""
        with self._lock:
            self._due = float("inf")
            self._end("")

    def _start(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            with (self._folder / "template.txt").open("wb") as errors:
                self._process = subprocess.Popen(
                    [*self._command, str(theirs.fileno()), *self._arguments],
                    env=self._environment,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=errors,
                    pass_fds=[theirs.fileno()],
                    start_new_session=True,
                )
        except OSError as error:
            ours.close()
            self._put_off(f"it cannot be started: {error}")
            return
        finally:
            theirs.close()
        self._control = ours
        self._modules = None

    def _has_said_ready(self) -> bool:
        if self._control is None or self._modules is not None:
            return self._modules is not None
        if not select.select([self._control], [], [], 0)[0]:
            return False
        try:
            said = self._control.recv(1 << 20).decode().split()
        except OSError:
            said = []
        if not said:
            self._end("it ended while it imported")
            return False
        self._modules = frozenset(said[1:])
        self._pause = FIRST_PAUSE_SECONDS
        return True

    def _would_shadow(self, place: Place, entrypoint: str) -> bool:
        """Whether the program brings a module of a name that is imported already."""
        beside = (place.program / entrypoint).parent
        names = {name.partition(".")[0] for name in os.listdir(beside)}  # noqa: PTH208
        return not names.isdisjoint(self._modules or ())

    def _asked(self, folder: str, notify: int) -> tuple[bytes, list[int]]:
        """The answer to a request; ends the process unless that is good."""
        handles: list[int] = []
        try:
            if self._control is None:
                return b"", []
            self._control.settimeout(REPLY_SECONDS)
            socket.send_fds(self._control, [os.fsencode(folder)], [notify])
            answer, handles, _, _ = socket.recv_fds(self._control, 4096, 1)
            for handle in handles:
                os.set_inheritable(handle, False)
        except OSError as error:
            self._end(f"it does not answer: {error}")
            return b"", []
        if answer == b"stale":
            self._end("")
        elif answer != b"started":
            self._end(f"it said {answer[:200]!r}")
        return answer, handles

    def _end(self, why: str) -> None:
        """Ends the process, with the reason if it is worth one; the next waits for its time."""
        if self._control is not None:
            self._control.close()
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._process = self._control = self._modules = None
        if why:
            self._put_off(why)

    def _put_off(self, why: str) -> None:
        logger.warning("Jobs start without the template: %s; %s", why, self._last_words())
        self._due = max(self._due, time.monotonic() + self._pause)
        self._pause = min(2 * self._pause, LONGEST_PAUSE_SECONDS)

    def _last_words(self) -> str:
        try:
            text = (self._folder / "template.txt").read_text(errors="replace")
        except OSError:
            text = ""
        return text.strip()[-500:] or "it said nothing"


def is_possible() -> bool:
    """Whether this system has what a template needs."""
    return sys.platform.startswith("linux") and hasattr(os, "pidfd_open")
