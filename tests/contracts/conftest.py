"""The executors that pass the contracts: ours by name, and those that users already have."""

import contextlib
import multiprocessing
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import pytest

import shoal
from tests.clusters import kept

OURS = ("serial", "threads", "processes", "loky", "ray", "dask")
CLUSTERS = ("ray", "dask")
FOREIGN = ("stdlib threads", "stdlib processes")
PROCESSES = ("processes", "loky", "ray", "dask", "stdlib processes")


def make_executor(name):
    """A new executor for two tasks at once; clusters stay from their first use to the end."""
    if name in CLUSTERS:
        kept(name)
    if name == "stdlib threads":
        return ThreadPoolExecutor(2)
    if name == "stdlib processes":
        return ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn"))
    return shoal.executor(name, max_workers=2)


@pytest.fixture(scope="module")
def warm():
    """Executors that the tests of a module share, by name; made at first use."""
    with contextlib.ExitStack() as stack:
        made = {}

        def get(name):
            if name not in made:
                made[name] = stack.enter_context(make_executor(name))
            return made[name]

        yield get


@pytest.fixture
def gate(tmp_path):
    """A file that ends `hold` once it exists; it does at the latest when the test ends."""
    path = tmp_path / "gate"
    yield path
    path.touch()
