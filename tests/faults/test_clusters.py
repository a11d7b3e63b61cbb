"""Workers, nodes and inputs that fail on Ray and Dask cost what they were running, and no more."""

import ctypes
import itertools
import math
import os
import random
import re
import signal
import sys
import threading
from collections import Counter

import numpy as np
import pytest

import shoal
from shoal.errors import (
    ExecutorBroken,
    FunctionNotSent,
    InputNotSent,
    ResultNotReturned,
    TaskRaised,
    WorkerDied,
)
from shoal.tasks.clusters import ClusterExecutor
from shoal.tasks.clusters.dask import start_workers
from tests.clusters import kept
from tests.faults.watching import lines, until

pytestmark = pytest.mark.timeout(90)


@pytest.fixture(params=["ray", "dask"])
def name(request):
    kept(request.param)
    return request.param


def storm(ledger, finished, kills, every):
    """Kills the process that wrote last, whenever that many more lines are there; three times."""
    due = every
    dice = random.Random(1)
    while len(kills) < 3 and not finished.wait(0.005):
        written = lines(ledger)
        if len(written) < due:
            continue
        pid = int(written[-1].split(":")[1])
        try:
            os.kill(pid, signal.SIGKILL)
            kills.append(pid)
        except ProcessLookupError:
            pass
        due = len(lines(ledger)) + dice.randint(every // 2, every)


def test_a_map_under_kills_gives_the_serial_results(name, tmp_path):
    """E01: every value, and no task run more often than workers were killed, plus once."""
    ledger, finished, kills = tmp_path / "ledger", threading.Event(), []

    def point(x):
        import time

        with open(ledger, "a") as file:
            file.write(f"{x}:{os.getpid()}\n")
        time.sleep(0.004)
        return x * 1.1

    thread = threading.Thread(target=storm, args=(ledger, finished, kills, 60))
    thread.start()
    try:
        got = shoal.map(point, range(200), executor=name, worker_death_retries=100)
    finally:
        finished.set()
        thread.join()
    assert got == [x * 1.1 for x in range(200)]
    assert len(kills) >= 2
    runs = Counter(int(line.split(":")[0]) for line in lines(ledger))
    assert set(runs) == set(range(200))
    assert max(runs.values()) <= 1 + len(kills)


@pytest.mark.parametrize(
    ("name", "ending"), [("ray", "kill"), ("ray", "crash"), ("dask", "exit")], indirect=["name"]
)
def test_a_poison_input_fails_alone_and_is_named(name, ending):
    """E02 and E03: all other results, and one WorkerDied that names its input."""

    def point(x):
        if x == 11:
            if ending == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            if ending == "exit":
                os._exit(3)
            ctypes.string_at(0)
        return x * x

    got = shoal.map(point, range(24), executor=name, on_error="return")
    assert got[:11] + got[12:] == [x * x for x in range(24) if x != 11]
    assert isinstance(got[11], WorkerDied)
    assert (got[11].index, got[11].attempts) == (11, 3)
    assert "3 attempts" in str(got[11])
    assert "input 11" in got[11].__notes__[0]
    assert shoal.failure(got[11]).args == (11,)


class Awkward(Exception):
    """Pickles, and does not unpickle."""

    def __init__(self, one, two):
        super().__init__(one)


def test_what_cannot_travel_costs_its_own_task(name):
    """E06: results, arguments and exceptions that refuse to be pickled or unpickled."""

    def point(x):
        if x == 1:
            return threading.Lock()
        if x == 2:
            raise Awkward("one", "two")
        if x == 3:
            raise SystemExit(3)
        return x if isinstance(x, int) else str(type(x))

    inputs = [0, 1, 2, 3, threading.Lock(), 5]
    got = shoal.map(point, inputs, executor=name, on_error="return")
    kinds = [ResultNotReturned, TaskRaised, TaskRaised, InputNotSent]
    assert [type(each) for each in got[1:5]] == kinds
    assert got[0] == 0
    assert got[5] == 5
    assert "Awkward: one" in str(got[2])


def bits(value):
    """A value as what tells any two apart, to the last bit and the sign of nothing."""
    if isinstance(value, np.ndarray | np.generic):
        return value.dtype.str, np.shape(value), np.asarray(value).tobytes()
    return type(value).__name__, repr(value)


ZOO = [
    math.nan,
    -math.inf,
    -0.0,
    1e308,
    5e-324,
    1j * math.inf,
    2**200,
    b"\x00\xff",
    "a\x00b\udcff",
    None,
    True,
    np.float16(0.1),
    np.array(3.5),
    np.array([(1, 2.5)], dtype=[("a", "i4"), ("b", "f8")]),
    np.empty((0, 3)),
    np.arange(12.0).reshape(3, 4)[:, ::2],
    np.array(["2026-11-20"], "datetime64[D]"),
    np.frombuffer(b"\x01\x00\x00\x00\x00\x00\xf8\x7f", "f8"),
    np.arange(200_000.0),
]


def test_values_of_every_kind_come_back_bit_for_bit(name):
    """E19: there and back, as input and as result."""
    got = shoal.map(lambda x: (x, bits(x)), ZOO, executor=name)
    assert [bits(value) for value, _ in got] == [bits(value) for value in ZOO]
    assert [seen for _, seen in got] == [bits(value) for value in ZOO]


def test_products_of_matrices_are_those_of_the_serial_loop(name):
    matrices = list(np.random.default_rng(1).standard_normal((4, 200, 200)))
    there = shoal.map(lambda a: a @ a, matrices, executor=name)
    here = shoal.map(lambda a: a @ a, matrices, executor="processes", max_workers=1)
    assert [a.tobytes() for a in there] == [a.tobytes() for a in here]


def test_a_sweep_is_that_of_the_serial_loop_whatever_the_batches(name):
    axes = {"a": np.linspace(0, 1, 9), "b": [1.0, 2.0, 3.0]}

    def wave(a, b, rng):
        return np.sin(a * b) + rng.random()

    expected = shoal.sweep(wave, axes, executor="serial", seed=3)["wave"].values
    for batch_size in ("auto", 4):
        got = shoal.sweep(wave, axes, executor=name, seed=3, batch_size=batch_size)
        assert got["wave"].values.tobytes() == expected.tobytes()


def test_an_endless_generator_is_read_with_the_reader(name):
    drawn = []

    def endless():
        for x in itertools.count():
            drawn.append(x)
            yield x

    results = shoal.imap(lambda x: x * x, endless(), executor=name, batch_size=1)
    assert list(itertools.islice(results, 20)) == [x * x for x in range(20)]
    assert len(drawn) <= 20 + 10 * 2 * (os.cpu_count() or 1)
    results.close()


def test_a_module_that_the_workers_lack_is_named(name, tmp_path, monkeypatch):
    (tmp_path / "mine.py").write_text("def f(x):\n    return x\n")
    monkeypatch.syspath_prepend(tmp_path)
    import mine

    os.utime(tmp_path / "mine.py", (1, 1))
    monkeypatch.setattr("shoal.tasks.clusters.shipment.changed_modules", list)
    here = [folder for folder in sys.path if folder != str(tmp_path)]
    monkeypatch.setattr(sys, "path", here)
    with pytest.raises(FunctionNotSent, match="No module named 'mine'"):
        shoal.map(mine.f, [1, 2], executor=name)
    assert shoal.map(abs, [-1], executor=name) == [1]


def test_a_scheduler_that_is_lost_is_one_error():
    cluster = start_workers(1, threads_per_task=1)
    with ClusterExecutor(cluster) as executor:
        pid = cluster._local._process.pid

        def end(x):
            os.kill(pid, signal.SIGKILL)

        with pytest.raises(ExecutorBroken, match="dask"):
            shoal.map(end, [1], executor=executor)
    cluster.close()


NODES = """
    import os, sys, threading, time

    os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"  # this machine only
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    from ray.cluster_utils import Cluster

    import shoal
    import shoal.errors

    ledger = sys.argv[1]
    cluster = Cluster(
        initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False}
    )
    second = cluster.add_node(num_cpus=1)

    def point(x):
        with open(ledger, "a") as file:
            file.write(f"{x}\\n")
        time.sleep(0.005)
        return x * 1.1

    def written():
        return len(open(ledger).readlines()) if os.path.exists(ledger) else 0

    def kill():
        while written() < 80:
            time.sleep(0.01)
        cluster.remove_node(second, allow_graceful=False)
        print("killed", flush=True)

    with shoal.executor(f"ray:{cluster.address}") as executor:
        print("width", executor.width)
        thread = threading.Thread(target=kill)
        thread.start()
        got = shoal.map(point, range(400), executor=executor)
        thread.join()
        print("same", got == [x * 1.1 for x in range(400)], flush=True)

        def end(x):
            if x == 3:
                for kind in ("gcs_server", "raylet"):
                    os.kill(pids[kind], 9)
            time.sleep(25 if x == 3 else 0.01)

        processes = cluster.head_node.all_processes
        pids = {kind: processes[kind][0].process.pid for kind in ("gcs_server", "raylet")}
        began = time.monotonic()
        try:
            shoal.map(end, range(8), executor=executor)
        except shoal.errors.ExecutorBroken as error:
            print("broken", error, time.monotonic() - began < 20, flush=True)
"""


def test_a_node_that_is_lost_costs_what_was_running_there(start, tmp_path):
    """E23: a two-node Ray, one node killed under a map: nothing lost, little done again.

    Then the head is killed under another: one error within ten seconds.
    """
    ledger = tmp_path / "ledger"
    program = start(NODES, ledger)
    status, out, err = program.finish(120)
    assert status == 0, err
    assert out.split("\n")[0] == "width 2"
    assert "killed" in out
    assert "same True" in out
    assert re.search("broken ray:.* True", out), out
    runs = Counter(map(int, lines(ledger)))
    assert set(runs) == set(range(400))
    in_flight = 4 * 2 * 20  # batches of 100 ms, two a worker, halved until they come through
    assert sum(runs.values()) - 400 <= in_flight
    assert max(runs.values()) <= 3
    until(lambda: not program.living())
