"""The parent's end of the launcher: starts it, asks for workers, hears how they ended."""

from __future__ import annotations

import array
import os
import pickle
import socket
import subprocess
import sys

from shoal.tasks.processes import surroundings
from shoal.tasks.processes.launcher import REPORT, REQUEST
from shoal.tasks.processes.limits import thread_environment

# What to do arrives through the control socket: a command line has a limit, and is public.
_PROGRAM = """
import sys
sys.path[:] = filter(None, sys.path)
import pickle, socket
control = socket.socket(fileno=int(sys.argv[1]))
told, size = bytearray(), int.from_bytes(control.recv(8, socket.MSG_WAITALL), "little")
while len(told) < size:
    part = control.recv(size - len(told))
    if not part:
        sys.exit()
    told += part
if not told:
    sys.exit()
told = pickle.loads(told)
sys.path[:] = told.pop("path")
from shoal.tasks.processes.launcher import main
main(control, **told)
"""
# Imported once, in the launcher, when the parent has them: they start no threads.
_PRELOADED = ("numpy",)


class Launching:
    """A running launcher."""

    def __init__(self, threads_per_task: int) -> None:
        """Starts one, whose workers' numerical libraries use `threads_per_task` threads."""
        told = pickle.dumps(
            {
                "path": list(surroundings.current().path),
                "parent": os.getpid(),
                "argv": sys.argv,
                "preload": [name for name in _PRELOADED if name in sys.modules],
            }
        )
        self._report = b""
        self.control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._process = subprocess.Popen(  # our own interpreter with our own program
                [sys.executable, *_interpreter_flags(), "-c", _PROGRAM, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                env={**os.environ, **thread_environment(threads_per_task)},
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
            self.control.sendall(len(told).to_bytes(8, "little") + told)
        except BaseException:  # Ctrl-C included: half an instruction is none
            self.control.close()
            raise
        finally:
            theirs.close()

    def fork(self, key: int, descriptors: list[int]) -> None:
        """Asks for a worker that gets these descriptors; its reports carry `key`."""
        rights = array.array("i", descriptors)
        self.control.sendmsg([REQUEST.pack(key)], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])

    def reports(self) -> list[tuple[int, int, int]] | None:
        """What has been reported: key, pid, and exit status or STARTED; None when it has ended."""
        try:
            data = self.control.recv(REPORT.size * 256, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return []
        except OSError:
            data = b""
        if not data:
            return None
        data = self._report + data
        whole = len(data) - len(data) % REPORT.size
        self._report = data[whole:]
        return [REPORT.unpack_from(data, at) for at in range(0, whole, REPORT.size)]

    def close(self) -> None:
        """Hangs up: the launcher kills all its workers and exits."""
        self.control.close()
        try:
            self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def _interpreter_flags() -> list[str]:
    """The flags this interpreter was started with, so that workers run under the same rules."""
    flags = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined]  # noqa: SLF001
    return list(flags)
