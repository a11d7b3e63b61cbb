"""Runs tasks where shoal's engine is not: each in a fork of the program, as many as cores at once.

For Pythons without shoal's dependencies. It needs nothing but the standard library, and nothing has
to be picklable except results. There is no thread: forks are made, and results collected, while
the program submits tasks or waits for one, so that no lock is held by another thread at a fork.
"""

from __future__ import annotations

import atexit
import os
import pickle
import random
import selectors
import signal
import sys
import time
import traceback
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future
from contextlib import suppress
from typing import Any, NamedTuple, NoReturn

from shoal.errors import ResultNotReturned, TaskRaised, WorkerDied, WorkerTraceback

MOST_SECONDS = 1.0  # between two looks, should the end of a fork have been missed

_living: dict[int, ForkExecutor] = {}  # by process id: a fork of this process has none yet


def attend(done: Callable[[], bool], seconds: float | None) -> bool:
    """Serves forks until `done`, at most so many seconds; False at once if there are none."""
    executor = _living.get(os.getpid())
    if executor is None:
        return False
    executor.attend(done, seconds)
    return True


class _Call(NamedTuple):
    function: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    future: Future[Any]


class _Fork:
    """A process that runs one call, and what came from it so far."""

    def __init__(self, call: _Call, pid: int) -> None:
        self.call = call
        self.pid = pid
        self.data = bytearray()


class ForkExecutor(Executor):
    """Runs each call in a fork of this process."""

    def __init__(self, max_workers: int) -> None:
        """Starts nothing yet.

        Args:
            max_workers: How many forks run at the same time, from 1.
        """
        self._most = max_workers
        self._waiting: deque[_Call] = deque()
        self._selector = selectors.DefaultSelector()
        self._owner = os.getpid()
        _living[self._owner] = self
        atexit.register(self._finish)

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Runs a call as soon as there is room; what it needs is what is there at that moment."""
        future: Future[Any] = Future()
        self._waiting.append(_Call(fn, args, kwargs, future))
        self._serve(0)
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Cancels what has not begun, if so asked, and waits for the rest."""
        while cancel_futures and self._waiting:
            self._waiting.popleft().future.cancel()
        if wait:
            self.attend(lambda: not (self._waiting or self._selector.get_map()), None)

    def attend(self, done: Callable[[], bool], seconds: float | None) -> None:
        """Serves until `done`, at most so many seconds, or until there is nothing to serve."""
        end = None if seconds is None else time.monotonic() + seconds
        while not done() and (self._waiting or self._selector.get_map()):
            left = MOST_SECONDS if end is None else min(end - time.monotonic(), MOST_SECONDS)
            self._serve(max(left, 0))
            if end is not None and time.monotonic() >= end:
                return

    def _serve(self, seconds: float) -> None:
        """Starts what there is room for, and takes what has come, waiting for it so long."""
        while self._waiting and len(self._selector.get_map()) < self._most:
            call = self._waiting.popleft()
            if call.future.set_running_or_notify_cancel():
                self._start(call)
        for key, _ in self._selector.select(seconds) if self._selector.get_map() else ():
            data = os.read(key.fd, 1 << 20)
            if data:
                key.data.data += data
            else:
                self._selector.unregister(key.fd)
                os.close(key.fd)
                self._end(key.data)

    def _start(self, call: _Call) -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        reader, writer = os.pipe()
        try:
            pid = os.fork()
        except OSError as error:
            os.close(reader)
            os.close(writer)
            call.future.set_exception(error)
            return
        if pid == 0:
            os.close(reader)
            _run(call, writer)
        os.close(writer)
        self._selector.register(reader, selectors.EVENT_READ, _Fork(call, pid))

    def _end(self, fork: _Fork) -> None:
        code = _exit_code(fork.pid)
        call = fork.call
        try:
            fine, value, text = pickle.loads(bytes(fork.data))
        except Exception as error:  # noqa: BLE001 - half an answer, or one that cannot be read here
            if fork.data and code == 0:
                problem: Exception = ResultNotReturned(f"its result cannot be read: {error!r}")
            else:
                problem = _death(code)
            call.future.set_exception(told(problem, call.args, call.kwargs))
            return
        if fine:
            call.future.set_result(value)
        else:
            call.future.set_exception(told(value, call.args, call.kwargs, text))

    def _finish(self) -> None:
        """At the end of the program: finishes what was begun, and the rest if all went well."""
        if os.getpid() == self._owner:
            self.shutdown(cancel_futures=getattr(sys, "last_type", None) is not None)


def told(
    error: BaseException, args: tuple[Any, ...], kwargs: dict[str, Any], text: str = ""
) -> BaseException:
    """An error with the arguments of its task as a note, and its traceback as cause."""
    given = [repr(each) for each in args] + [f"{name}={value!r}" for name, value in kwargs.items()]
    shown = ", ".join(each if len(each) < 200 else f"{each[:200]}…" for each in given)
    if hasattr(error, "add_note"):
        error.add_note(f"shoal: the task failed on input {shown}")
    else:  # before Python 3.11
        text = f"{text}\nThe task failed on input {shown}\n"
    if text:
        error.__cause__ = WorkerTraceback(text)
    return error


def _run(call: _Call, writer: int) -> NoReturn:
    """In the fork: runs the call, answers, and ends the process without the parent's clean-up."""
    status = 1
    try:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        random.seed()
        if "numpy.random" in sys.modules:
            sys.modules["numpy.random"].seed()
        # Its threads were not forked with us, and whoever counts on them would wait for ever.
        os.environ["QISKIT_IN_PARALLEL"] = "TRUE"
        with os.fdopen(writer, "wb") as target:
            target.write(_answer(call))
        status = 0
    finally:
        with suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)


def _answer(call: _Call) -> bytes:
    try:
        value = call.function(*call.args, **call.kwargs)
    except BaseException as error:  # noqa: BLE001 - whatever it raises is its answer
        return _failure(error)
    try:
        return pickle.dumps((True, value, ""), pickle.HIGHEST_PROTOCOL)
    except Exception as error:  # noqa: BLE001 - pickling runs the user's code
        text = f"the result cannot be sent back: {type(error).__name__}: {error}"
        return pickle.dumps((False, ResultNotReturned(text), traceback.format_exc()))


def _failure(error: BaseException) -> bytes:
    text = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    if isinstance(error, Exception) and not isinstance(error, StopIteration):
        with suppress(Exception):
            data = pickle.dumps((False, error, text))
            pickle.loads(data)  # some pickle and cannot be made again
            return data
    name = type(error).__qualname__
    stand_in = TaskRaised(f"{name}: {error}" if str(error) else name)
    stand_in.exception_type = name
    return pickle.dumps((False, stand_in, text))


def _exit_code(pid: int) -> int:
    try:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    except ChildProcessError:  # the program collected it itself
        return 0


def _death(code: int) -> WorkerDied:
    if code < 0:
        error = WorkerDied(f"the process that ran the task was killed by signal {-code}")
        error.signal = -code
    else:
        error = WorkerDied(f"the process that ran the task ended with exit code {code}")
        error.exit_code = code
    return error
