"""The launcher: a small process, started once, that forks workers on request.

It is a fresh interpreter, never a fork of the user's process, and stays single-threaded, so that a
fork of it is safe and takes a few milliseconds. It reaps the workers, reports how they ended, and
ends them all when the user's process is gone.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import os
import random
import select
import signal
import socket
import struct
import sys
import time
from typing import Any

from shoal.tasks.processes import worker
from shoal.tasks.processes.channel import descriptors_in

REPORT = struct.Struct("<qqq")
STARTED = -1
REQUEST = struct.Struct("<q")
PARENT_CHECK_SECONDS = 1.0
REAP_SECONDS = 2.0
PR_SET_PDEATHSIG = 1


def main(control: socket.socket, *, parent: int, argv: list[str], preload: list[str]) -> None:
    """Serves the user's process until it hangs up.

    Args:
        control: The control socket.
        parent: Process id of the user's process.
        argv: Its command line, for workers that look at ``sys.argv``.
        preload: Modules to import once instead of in every worker; only such as start no threads.
    """
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    sys.argv[:] = argv
    for name in preload:
        with contextlib.suppress(Exception):  # a module that fails here fails in the worker too
            importlib.import_module(name)
    gc.collect()
    gc.freeze()
    Launcher(control, parent).serve()


class Launcher:
    """Forks, reaps and reports."""

    def __init__(self, control: socket.socket, parent: int) -> None:
        self._control = control
        self._parent = parent
        self._keys: dict[int, int] = {}
        self._death_signal = _death_signal_setter()
        self._wake, wake = os.pipe()
        os.set_blocking(self._wake, False)
        os.set_blocking(wake, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)

    def serve(self) -> None:
        """Loops until the control socket closes or the parent has changed."""
        with contextlib.suppress(OSError):
            while os.getppid() == self._parent:
                control, wake = self._control.fileno(), self._wake
                ready, _, _ = select.select([control, wake], [], [], PARENT_CHECK_SECONDS)
                if wake in ready:
                    with contextlib.suppress(BlockingIOError):
                        os.read(self._wake, 4096)
                    self._reap()
                if control in ready and not self._serve_request():
                    break
        for pid in self._keys:
            kill_group(pid)
        _reap_all(REAP_SECONDS)

    def _serve_request(self) -> bool:
        """Forks one worker; False when the parent has hung up."""
        data, descriptors = _receive(self._control)
        if not data:
            return False
        (key,) = REQUEST.unpack(data)
        launcher = os.getpid()
        pid = os.fork()
        if pid == 0:
            self._become_worker(descriptors, launcher)
        with contextlib.suppress(OSError):
            os.setpgid(pid, pid)
        self._keys[pid] = key
        for descriptor in descriptors:
            os.close(descriptor)
        self._control.sendall(REPORT.pack(key, pid, STARTED))
        return True

    def _become_worker(self, descriptors: list[int], launcher: int) -> None:
        status = 1
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            os.setpgid(0, 0)
            self._death_signal()
            if os.getppid() != launcher:  # it died before its death could be a signal
                return
            self._control.close()
            _reseed()
            end, cell, trace = descriptors
            worker.serve(socket.socket(fileno=end), cell, trace)
            status = 0
        except KeyboardInterrupt:
            status = 130
        except BaseException:  # nothing may escape into the launcher's own loop
            sys.excepthook(*sys.exc_info())
        finally:
            with contextlib.suppress(Exception):
                sys.stdout.flush()
                sys.stderr.flush()
            worker.leave(status)

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            key = self._keys.pop(pid, None)
            if key is not None:
                kill_group(pid)
                self._control.sendall(REPORT.pack(key, pid, status))


def _reap_all(limit_seconds: float) -> None:
    """Waits for killed children, so that none is left to whatever adopts orphans here."""
    end = time.monotonic() + limit_seconds
    with contextlib.suppress(ChildProcessError):
        while time.monotonic() < end:
            if os.waitpid(-1, os.WNOHANG)[0] == 0:
                time.sleep(0.002)


def _receive(control: socket.socket) -> tuple[bytes, list[int]]:
    data, ancillary, _, _ = control.recvmsg(REQUEST.size, socket.CMSG_SPACE(64))
    return data, descriptors_in(ancillary)


def kill_group(pid: int) -> None:
    """Kills a worker and what it started, as far as that stayed in its process group."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def _death_signal_setter() -> Any:
    """A function that makes a worker die with this launcher, where the system can do that."""
    if not sys.platform.startswith("linux"):
        return lambda: None
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    return lambda: prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def _reseed() -> None:
    """Gives the child its own global random states, so that no two workers repeat a stream."""
    random.seed()
    numpy_random = sys.modules.get("numpy.random")
    if numpy_random is not None:
        numpy_random.seed()
