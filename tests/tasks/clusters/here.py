"""A cluster of threads in this process, which can lose workers, data and itself when told to."""

import pickle
from collections import deque
from concurrent.futures import CancelledError, ThreadPoolExecutor

from shoal.errors import ExecutorBroken
from shoal.tasks.clusters.cluster import Running
from shoal.tasks.clusters.there import run_there
from shoal.tasks.dispatch import Death


class WorkerLost(Exception):
    """The end of a worker of this cluster."""


class Here:
    """Everything crosses as bytes, as it would between machines.

    `losses` holds what befalls the next batches: None lets one run, an exception replaces it.
    """

    name = "here"
    forgets = True

    def __init__(self, width=2):
        self.losses = deque()
        self.put_values = []
        self.wide = width
        self.closed = False
        self._pool = ThreadPoolExecutor(max(width, 1))

    @property
    def usable(self):
        return not self.closed

    def width(self):
        if self.closed:
            raise ExecutorBroken("here is gone")
        return self.wide

    def put(self, value):
        self.put_values.append(pickle.dumps(value, 5))
        return len(self.put_values) - 1

    def start(self, order, held):
        if self.closed:
            raise ConnectionError("closed")
        loss = self.losses.popleft() if self.losses else None
        order, values = pickle.dumps(order, 5), [self.put_values[handle] for handle in held]
        return Running(self._pool.submit(self._run, order, values, loss), None)

    def _run(self, order, values, loss):
        if loss is not None:
            raise loss
        return run_there(pickle.loads(order), *map(pickle.loads, values))

    def death(self, error):
        return Death(None, "lost") if isinstance(error, WorkerLost | CancelledError) else None

    def stop(self, running, *, at_once):
        for each in running:
            each.future.cancel()

    def close(self):
        self.closed = True
        self._pool.shutdown()
