"""The process of which jobs are forked: an interpreter that has imported what many programs need.

It runs by itself, in the Python of the jobs, on the standard library: ``python template.py 5
start.py numpy qiskit …``, 5 being a socket. It never runs a program's code. A request names the
folder of an attempt and brings the descriptor that is to be told of the start; a fork becomes the
shim of that attempt, as if it had been started for it, and the shim's own fork becomes the program,
as if an interpreter had been started with that.

It says ``ready`` and the names of its modules, once; then, to each request, ``started`` with a
handle of the shim, ``stale`` if what is installed has changed, or ``failed`` with a reason.
"""

from __future__ import annotations

import atexit
import ctypes
import gc
import importlib
import os
import random
import signal
import socket
import sys
import threading
from types import ModuleType

MARK = "SHOAL_ATTEMPT"
THREADED = ("libgomp", "libiomp", "libmkl_rt", "libomp")  # that cannot be told otherwise later
MARK_BYTES = 80
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn


def main() -> None:
    """Serves until the other end is closed; in a fork, runs the program that was asked for."""
    start_folder, start_name = os.path.split(sys.argv[2])
    shim = _loaded(sys.path[0], "shim")
    start = _loaded(start_folder, start_name[: -len(".py")])
    del sys.path[0]
    control = socket.socket(fileno=int(sys.argv[1]))
    control.set_inheritable(False)
    sys.path.append(start.PATH)
    _import_all(sys.argv[3:])
    sys.path.remove(start.PATH)
    _check_threads()
    installed = _installed()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody here waits for them
    gc.collect()
    gc.freeze()
    names = frozenset(sys.modules)
    packages = {name.partition(".")[0] for name in names}
    control.send(" ".join(["ready", *sorted(packages)]).encode())
    asked = _serve(control, installed)
    if asked is None:
        return
    arguments: list[str] = []
    try:
        shim.supervise(asked[0], notify=asked[1], kind=_forked(shim))
    except Entered as entered:
        arguments = entered.arguments
    start.run(arguments)  # here, so that the program's errors have no context
    _leave(names)


def _leave(imported: frozenset[str]) -> NoReturn:
    """Ends a program that returned as an interpreter ends, but for what the template imported.

    Taking that apart would copy most of its pages, and take longer than many programs.
    """
    threading._shutdown()  # type: ignore[attr-defined]  # noqa: SLF001 - as the interpreter does
    atexit._run_exitfuncs()  # noqa: SLF001 - the same
    own = [module for name, module in sys.modules.items() if name not in imported]
    for module in [sys.modules["__main__"], *own]:
        values = vars(module)
        values.update({name: None for name in values if name != "__builtins__"})
    gc.collect()
    status = 0
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (AttributeError, OSError, ValueError):
            status = 120 if stream is sys.stdout and stream is not None else status
    ctypes.CDLL(None).fflush(None)
    os._exit(status)


class Entered(BaseException):
    """Leads out of the shim's code, into the program that is to run here."""

    def __init__(self, arguments: list[str]) -> None:
        super().__init__()
        self.arguments = arguments


def _forked(shim: ModuleType) -> Any:
    """An attempt whose program runs in the fork itself."""

    class Forked(shim.Attempt):  # type: ignore[misc,name-defined]
        def _become(self, parent: int, output: int, failing: int, lock: int) -> NoReturn:
            try:
                self._settle(parent, output, lock)
                _wake_up(self.spec["environment"])
            except BaseException as error:  # noqa: BLE001 - nothing may return into the shim
                os.write(failing, f"{type(error).__name__}: {error}".encode(errors="replace"))
                os._exit(127)
            shim.close_above(2)
            raise Entered(self.spec["arguments"][2:])

    return Forked


def _serve(control: socket.socket, installed: object) -> tuple[str, int] | None:
    """Answers requests; in a fork returns what was asked for, else None when nobody asks."""
    while True:
        data, descriptors, _, _ = socket.recv_fds(control, 8192, 1)
        if not data:
            return None
        if installed != _installed():
            control.send(b"stale")
            return None
        try:
            pid = os.fork()
        except OSError as error:
            control.send(f"failed {error}".encode())
        else:
            if pid == 0:
                _take_place(os.fsdecode(data), descriptors[0])
                control.detach()  # closed by now
                return os.fsdecode(data), descriptors[0]
            _tell(control, pid)
        for descriptor in descriptors:
            os.close(descriptor)


def _tell(control: socket.socket, pid: int) -> None:
    """Sends a handle of a fork; without one if it has ended already."""
    try:
        handle = os.pidfd_open(pid)
    except OSError:
        control.send(b"started")
        return
    socket.send_fds(control, [b"started"], [handle])
    os.close(handle)


def _take_place(folder: str, notify: int) -> None:
    """Gives this fork what a shim is started with: a session, its descriptors, its mark."""
    os.setsid()
    os.dup2(os.open(os.devnull, os.O_RDWR), 0)
    os.dup2(0, 1)
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    os.dup2(os.open(os.path.join(folder, "shim.txt"), flags, 0o600), 2)  # noqa: PTH118
    for name in os.listdir("/dev/fd"):  # noqa: PTH208
        if int(name) > 2 and int(name) != notify:
            try:
                os.close(int(name))
            except OSError:  # the one that listed them
                continue
    fence = os.path.basename(folder)  # noqa: PTH119
    _mark(f"{os.path.basename(os.path.dirname(folder))}.{fence}".encode())  # noqa: PTH119, PTH120


def _mark(attempt: bytes) -> None:
    """Writes the attempt over the value of our mark, where the process table shows it.

    A process shows the environment that it was started with, in the memory where it was put, and
    a fork that of its origin.
    """
    getenv = ctypes.CDLL(None).getenv
    getenv.restype = ctypes.c_void_p
    ctypes.memmove(getenv(MARK.encode()), attempt.ljust(MARK_BYTES, b"\0"), MARK_BYTES)


def _wake_up(environment: dict[str, str]) -> None:
    """Makes this fork as a new interpreter: signals, environment, randomness, threads."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_IGN)
    os.environ.clear()
    os.environ.update(environment)
    random.seed()
    if "numpy.random" in sys.modules:
        sys.modules["numpy.random"].seed()
    _release_threads()


def _release_threads() -> None:
    """Lets OpenBLAS, which was held to one thread, use all cores, as where it is loaded anew."""
    threads = len(os.sched_getaffinity(0))
    names = [
        f"{prefix}openblas_set_num_threads{suffix}"
        for prefix in ("", "scipy_")
        for suffix in ("", "64_")
    ]
    for path in _mapped("openblas"):
        library = ctypes.CDLL(path, mode=os.RTLD_NOLOAD)
        for name in names:
            function = getattr(library, name, None)
            if function is not None:
                function(threads)
                break


def _import_all(names: list[str]) -> None:
    """Imports what is there; what fails here would fail in the program, if it needs it."""
    for name in names:
        try:
            importlib.import_module(name)
        except Exception as error:  # noqa: BLE001 - imports run anybody's code
            sys.stderr.write(f"{name}: {type(error).__name__}: {error}\n")


def _check_threads() -> None:
    """Ends this process if forks of it would not be safe, or would not be as a new interpreter."""
    count = len(os.listdir("/proc/self/task"))  # noqa: PTH208
    if count != 1:
        sys.exit(f"what it imported runs {count - 1} threads, which forks would not have")
    for name in THREADED:
        if _mapped(name):
            sys.exit(f"{name} is loaded, whose number of threads forks could not change")


def _mapped(name: str) -> list[str]:
    """The files mapped into this process with this in their names."""
    with open("/proc/self/maps", encoding="utf-8") as source:  # noqa: PTH123
        paths = {line.split(maxsplit=5)[-1].rstrip("\n") for line in source}
    return sorted(path for path in paths if name in os.path.basename(path))  # noqa: PTH119


def _installed() -> list[tuple[str, int]]:
    """What changes whenever a package is installed, removed or changed: the folders of our path."""
    found = []
    for path in sys.path:
        try:
            found.append((path, os.stat(path).st_mtime_ns))  # noqa: PTH116
        except OSError:
            found.append((path, 0))
    return found


def _loaded(folder: str, name: str) -> ModuleType:
    """A module of ours by its folder, of which programs find nothing under its name."""
    sys.path.insert(0, folder)
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(folder)
        sys.modules.pop(name, None)


if __name__ == "__main__":
    main()
