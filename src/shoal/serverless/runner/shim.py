"""The process beside each job: starts it at most once, outlives the gateway, tells how it ended.

It runs by itself, ``python -I -S``, on the standard library alone. What it agrees on with the
gateway are files in the attempt's folder:

``spec.json``  what to run and within which limits; read once
``lock``       held (flock) as long as this process lives; holds its process id
``started``    made by whoever decides, once and for all, whether this attempt starts
``stop``       asks for the end; SIGTERM makes this process look
``log/``       what the program wrote, in pieces named by the offset of their first byte
``exit.json``  how it ended; there only when every process of the job is gone
"""

# As with typing below, importing pathlib would cost this process a good part of its start.
# ruff: noqa: PTH103, PTH104, PTH108, PTH110, PTH118, PTH123, PTH208
from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import json
import os
import resource
import select
import signal
import sys
import time

USUAL_SIGNALS = signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn

EXIT_BYTES, LOG_PIECES, _CHUNK = 4096, 8, 65536
_SET_PDEATHSIG, _SET_CHILD_SUBREAPER = 1, 36


def main() -> None:
    """Supervises the attempt whose folder is the last argument; tells descriptor 3 of the start."""
    close_above(3)  # those that the gateway itself was started with
    os.set_inheritable(3, False)
    supervise(sys.argv[-1], notify=3)


def supervise(
    folder: str,
    *,
    notify: int = -1,
    step: Callable[[str], None] = lambda name: None,  # noqa: ARG005
    kind: Callable[[dict[str, Any], int], Attempt] | None = None,
) -> NoReturn:
    """Runs one attempt from start to end, and ends this process.

    Args:
        folder: The attempt's.
        notify: A descriptor that gets one byte when the program has started.
        step: Called with the name of each step once it is done; for tests that end us there.
        kind: Makes the attempt; an `Attempt` by default.
    """
    wakes = _hear_signals()
    _prctl(_SET_CHILD_SUBREAPER, 1)
    os.chdir(folder)
    step("begun")
    lock = _take_lock()
    step("locked")
    if not _claim_start():
        os._exit(0)  # somebody decided that this attempt never starts, or started it already
    reserve = _reserve_exit()
    step("started")
    with open("spec.json", encoding="utf-8") as source:
        spec = json.load(source)
    attempt = (kind or Attempt)(spec, wakes)
    if os.path.exists("stop"):
        attempt.stopped = True
    else:
        attempt.start(lock)
        step("running")
        _tell(notify)
        attempt.attend()
        step("exited")
        attempt.sweep()
    step("swept")
    _publish(reserve, attempt.report())
    step("published")
    os._exit(0)


class Attempt:
    """The program under way, and what is known of it.

    Attributes:
        stopped: Whether it was made to end because somebody asked for that.
        timed_out: Whether it was made to end because its time was over.
        problem: Why it could not be started, or None.
    """

    def __init__(self, spec: dict[str, Any], wakes: int) -> None:
        self.spec = spec
        self.stopped = self.timed_out = False
        self.problem: str | None = None
        self._wakes = wakes
        self._pid = self._output = -1
        self._status: int | None = None
        self._began = time.monotonic()
        self._began_at = time.time()
        self._log = Log("log", spec["log_bytes"])

    def start(self, lock: int) -> None:
        """Starts the program; `problem` says why if it cannot be."""
        self._output, theirs = os.pipe()
        failed, failing = os.pipe()
        shim = os.getpid()
        self._pid = os.fork()
        if self._pid == 0:
            self._become(shim, theirs, failing, lock)
        os.close(theirs)
        os.close(failing)
        with open(failed, "rb") as reader:
            said = reader.read()  # ends when the program is in place, or could not be
        self.problem = said.decode(errors="replace")[:1000] or None
        os.set_blocking(self._output, False)

    def attend(self) -> None:
        """Keeps the log and watches the clock until the program has ended."""
        seconds = self.spec["wall_seconds"]
        end = None if seconds is None else self._began + seconds
        kill: float | None = None
        poll = select.poll()
        poll.register(self._wakes, select.POLLIN)
        poll.register(self._output, select.POLLIN)
        while self._collect() and self._status is None:
            now = time.monotonic()
            if kill is None:
                self.stopped = os.path.exists("stop")
                self.timed_out = not self.stopped and end is not None and now >= end
                if self.stopped or self.timed_out:
                    self._signal(signal.SIGTERM)
                    kill = now + self.spec["grace_seconds"]
            elif now >= kill:
                self._signal(signal.SIGKILL)
                kill = now + 1.0
            due = end if kill is None else kill
            wait = None if due is None else max(0, due - now) * 1000 + 1
            for descriptor, what in poll.poll(wait):
                if descriptor == self._wakes:
                    with contextlib.suppress(BlockingIOError):
                        while os.read(self._wakes, 512):
                            pass
                elif not self._copy() and what & select.POLLHUP:
                    poll.unregister(self._output)

    def sweep(self) -> None:
        """Ends what the program left behind, wherever it went, and keeps its last words."""
        pause = 0.001
        while self._collect():
            for process in descendants(os.getpid()):
                kill(process)
            while self._copy():
                pass
            time.sleep(pause)
            pause = min(2 * pause, 0.1)
        while self._copy():
            pass
        self._log.close()

    def report(self) -> dict[str, Any]:
        """How it ended, for ``exit.json``."""
        code = None if self._status is None else os.waitstatus_to_exitcode(self._status)
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return {
            "exit_code": code if code is not None and code >= 0 else None,
            "signal": -code if code is not None and code < 0 else None,
            "stopped": self.stopped,
            "timed_out": self.timed_out,
            "problem": self.problem,
            "started": self._began_at,
            "seconds": time.monotonic() - self._began,
            "cpu_seconds": used.ru_utime + used.ru_stime,
            "peak_memory_bytes": used.ru_maxrss * 1024,
            "log_bytes": self._log.size,
        }

    def _become(self, shim: int, output: int, failing: int, lock: int) -> NoReturn:
        """Turns this new process into the program; never returns."""
        try:
            self._settle(shim, output, lock)
            os.execve(self.spec["arguments"][0], self.spec["arguments"], self.spec["environment"])  # noqa: S606
        except BaseException as error:  # noqa: BLE001 - nothing may return into the shim
            os.write(failing, f"{type(error).__name__}: {error}".encode(errors="replace"))
        os._exit(127)

    def _settle(self, shim: int, output: int, lock: int) -> None:
        """Gives this new process all that the program's is to have, but the program."""
        os.close(lock)
        os.setsid()
        _prctl(_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != shim:
            os._exit(127)  # it died before we could ask to die with it
        signal.set_wakeup_fd(-1)
        for number in USUAL_SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(output, 1)
        os.dup2(output, 2)
        for name, most in self.spec["limits"].items():
            resource.setrlimit(getattr(resource, name), (most, most))
        os.umask(0o077)
        os.chdir(self.spec["directory"])

    def _collect(self) -> bool:
        """Collects what has ended; False if no child is left, and as none escapes us, nothing."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return False
            if pid == 0:
                return True
            if pid == self._pid:
                self._status = status

    def _signal(self, number: int) -> None:
        """To the program's process group, which its unreaped leader keeps from being reused."""
        if self._status is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._pid, number)

    def _copy(self) -> bool:
        """Moves some output into the log; False if there is none now."""
        try:
            data = os.read(self._output, _CHUNK)
        except BlockingIOError:
            return False
        self._log.write(data)
        return bool(data)


class Log:
    """The last bytes of what a program wrote, in pieces named by their first byte's offset.

    Attributes:
        size: How many bytes were written, those included that are no longer kept.
    """

    def __init__(self, folder: str, most_bytes: int) -> None:
        self._folder = folder
        self._piece = max(most_bytes // LOG_PIECES, 1)
        self._left = self.size = 0
        self._file: int | None = None
        with contextlib.suppress(OSError):  # as below: whatever is wrong costs some of the log
            os.makedirs(folder, mode=0o700, exist_ok=True)

    def write(self, data: bytes) -> None:
        """Adds bytes; the oldest piece goes when there are too many. Never raises."""
        view = memoryview(data)
        while view:
            if not self._left:
                self._next()
            part = view[: self._left]
            view = view[len(part) :]
            self._left -= len(part)
            self.size += len(part)
            if self._file is not None:
                try:
                    os.write(self._file, part)
                except OSError:  # a full disk costs some of the log, never the job
                    self.close()

    def close(self) -> None:
        """Closes the piece that is open; the next write opens a new one."""
        if self._file is not None:
            os.close(self._file)
        self._file, self._left = None, 0

    def _next(self) -> None:
        self.close()
        self._left = self._piece
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK
        with contextlib.suppress(OSError):
            for name in sorted(os.listdir(self._folder))[: 1 - LOG_PIECES]:
                os.unlink(os.path.join(self._folder, name))
            path = os.path.join(self._folder, f"{self.size:016d}")
            self._file = os.open(path, flags | os.O_CLOEXEC, 0o600)


def _hear_signals() -> int:
    """Has SIGTERM and the end of children wake us; returns the descriptor that shows it."""
    # Whoever ignores SIGCHLD hands that on, and waitpid then forgets how a child ended.
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    wakes, waker = os.pipe()
    os.set_blocking(wakes, False)
    os.set_blocking(waker, False)
    signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
    for number in (signal.SIGCHLD, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    return wakes


def _take_lock() -> int:
    lock = os.open("lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    os.pwrite(lock, b"%d\n" % os.getpid(), 0)
    return lock


def _claim_start() -> bool:
    """True for the one process that may ever start this attempt."""
    try:
        os.close(os.open("started", os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except FileExistsError:
        return False
    _sync_folder()
    return True


def _reserve_exit() -> int:
    """Room on the disk for the report, taken while there is some."""
    reserve = os.open("exit.part", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    with contextlib.suppress(OSError):
        os.posix_fallocate(reserve, 0, EXIT_BYTES)
    return reserve


def _publish(reserve: int, report: dict[str, Any]) -> None:
    """Makes the report visible in one step, after it is on the disk."""
    os.pwrite(reserve, json.dumps(report).encode().ljust(EXIT_BYTES), 0)
    os.fsync(reserve)
    os.rename("exit.part", "exit.json")
    _sync_folder()


def descendants(root: int) -> list[tuple[int, int]]:
    """The processes that descend from `root`, with when they started, from the process table."""
    children: dict[int, list[tuple[int, int]]] = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        found = parent_of(int(name))
        if found is not None:
            children.setdefault(found[0], []).append((int(name), found[1]))
    processes = [root]
    for parent in processes:  # it grows meanwhile
        processes += [pid for pid, _ in children.get(parent, ())]
    return [child for parent in processes for child in children.get(parent, ())]


def parent_of(pid: int) -> tuple[int, int] | None:
    """The parent and the start time of a process, or None if it is gone."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as source:
            fields = source.read().rpartition(b")")[2].split()
    except OSError:
        return None
    return (int(fields[1]), int(fields[19])) if len(fields) > 19 else None


def kill(known: tuple[int, int]) -> None:
    """Kills a process, unless its id has been given to another one since."""
    pid, began = known
    with contextlib.suppress(OSError):  # it is gone
        handle = os.pidfd_open(pid)
        try:
            found = parent_of(pid)
            if found is not None and found[1] == began:
                signal.pidfd_send_signal(handle, signal.SIGKILL)
        finally:
            os.close(handle)


def _prctl(option: int, value: int) -> None:
    """Asks the system to treat this process so; systems without it do without."""
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).prctl(option, int(value), 0, 0, 0)


def _tell(notify: int) -> None:
    with contextlib.suppress(OSError):  # the gateway may be gone, or there never was one
        os.write(notify, b"1")
        os.close(notify)


def close_above(most: int) -> None:
    """Closes all descriptors above one."""
    for name in os.listdir("/dev/fd"):
        if int(name) > most:
            with contextlib.suppress(OSError):
                os.close(int(name))


def _sync_folder() -> None:
    folder = os.open(".", os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    except OSError as error:
        if error.errno != errno.EINVAL:  # some file systems cannot sync folders, nor need it
            raise
    finally:
        os.close(folder)
