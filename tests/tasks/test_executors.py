"""Executors by name: the known ones, the default, what is missing, and what can never run."""

import os
import sys
import threading
from concurrent.futures import Executor, ThreadPoolExecutor

import pytest

import shoal
from shoal import errors
from shoal.tasks.arguments import NAMES
from shoal.tasks.dispatch import FOREIGN_WINDOW, FutureDispatcher, SerialDispatcher
from shoal.tasks.envelope import Calling
from shoal.tasks.executors import (
    VARIABLE,
    SerialExecutor,
    default_name,
    dispatcher_for,
    executor,
)
from shoal.tasks.inputs import Inputs
from shoal.tasks.processes import ProcessDispatcher, ProcessExecutor, available_cores
from tests.clusters import kept


@pytest.fixture
def no_loky(monkeypatch):
    for name in [name for name in sys.modules if name.partition(".")[0] == "loky"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "loky", None)


def dispatcher(chosen, *, max_workers=None, timeout_seconds=None):
    return dispatcher_for(
        chosen,
        abs,
        Calling(),
        max_workers=max_workers,
        threads_per_task=1,
        timeout_seconds=timeout_seconds,
        inputs=Inputs([[1]]),
    )


@pytest.mark.parametrize(
    ("name", "kind"),
    [("serial", SerialExecutor), ("threads", ThreadPoolExecutor), ("processes", ProcessExecutor)],
)
def test_a_name_gives_its_executor(name, kind):
    with executor(name, max_workers=2) as made:
        assert isinstance(made, kind)
        assert isinstance(made, Executor)
        assert made.submit(pow, 2, 5).result() == 32


def test_loky_is_an_executor_with_the_threads_asked_for():
    with executor("loky", max_workers=1, threads_per_task=3) as made:
        assert made.submit(os.getenv, "OMP_NUM_THREADS").result() == "3"
        assert made.submit(os.getpid).result() != os.getpid()


@pytest.mark.parametrize("name", NAMES)
def test_every_known_name_can_be_asked_for(name):
    if name in ("ray", "dask"):
        kept(name)
    executor(name, max_workers=1).shutdown()


@pytest.mark.parametrize("name", ["process", "", "PROCESSES", "ray ", 3, b"serial"])
def test_an_unknown_name_lists_the_known_ones(name):
    with pytest.raises(ValueError, match="executor=") as caught:
        executor(name)
    assert repr(name) in str(caught.value)
    for known in NAMES:
        assert repr(known) in str(caught.value)


def test_the_default_is_processes_or_what_the_environment_names(monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    assert default_name() == "processes"
    for unset in ("", "serial", "threads"):
        monkeypatch.setenv(VARIABLE, unset)
        assert default_name() == (unset or "processes")
    monkeypatch.setenv(VARIABLE, "serial")
    assert isinstance(executor(), SerialExecutor)
    assert isinstance(dispatcher(None), SerialDispatcher)


def test_an_unknown_name_in_the_environment_is_told_where_it_stands(monkeypatch):
    monkeypatch.setenv(VARIABLE, "bogus")
    for call in (executor, lambda: shoal.map(abs, [1])):
        with pytest.raises(ValueError, match="'bogus'") as caught:
            call()
        assert VARIABLE in str(caught.value)


@pytest.mark.parametrize(
    ("name", "package", "extra"),
    [("ray", "ray", "ray"), ("ray://h:1", "ray", "ray"), ("dask://h:1", "distributed", "dask")],
)
def test_a_cluster_without_its_package_says_what_to_install(monkeypatch, name, package, extra):
    monkeypatch.setitem(sys.modules, package, None)
    for call in (lambda: executor(name), lambda: shoal.map(abs, [1], executor=name)):
        with pytest.raises(errors.MissingExtra, match=f"needs {package}") as caught:
            call()
        assert f"pip install 'shoal[{extra}]'" in str(caught.value)


@pytest.mark.parametrize("name", ["ray:", "ray://host", "ray:host:0", "dask://:80", "dask://h:x"])
def test_an_address_without_host_and_port_is_refused(monkeypatch, name):
    with pytest.raises(ValueError, match="host:port") as caught:
        executor(name)
    assert repr(name) in str(caught.value)
    monkeypatch.setenv(VARIABLE, name)
    with pytest.raises(ValueError, match=VARIABLE):
        shoal.map(abs, [1])


@pytest.mark.parametrize(
    ("resources", "kind"),
    [({"num_cpu": 1}, ValueError), ({"num_cpus": -1}, ValueError), ([1], TypeError)],
)
def test_resources_that_ray_would_not_know_are_refused(resources, kind):
    with pytest.raises(kind, match="resources="):
        executor("ray", resources=resources)


@pytest.mark.parametrize("name", ["serial", "threads", "processes", "dask"])
def test_resources_are_refused_where_tasks_have_none(name):
    with pytest.raises(ValueError, match="needs executor='ray'"):
        executor(name, resources={"num_cpus": 1})


def test_a_missing_extra_says_what_to_install(no_loky):
    for call in (lambda: executor("loky"), lambda: shoal.map(abs, [1], executor="loky")):
        with pytest.raises(errors.MissingExtra) as caught:
            call()
        assert "pip install 'shoal[loky]'" in str(caught.value)
        assert "executor='loky'" in str(caught.value)
        assert isinstance(caught.value, ImportError)


def test_the_serial_executor_runs_in_the_callers_thread_at_once():
    with SerialExecutor() as serial:
        future = serial.submit(threading.get_ident)
        assert future.done()
        assert future.result() == threading.get_ident()


def test_the_serial_executor_keeps_exceptions_for_the_future_and_lets_control_c_through():
    serial = SerialExecutor()
    assert isinstance(serial.submit(int, "x").exception(), ValueError)
    assert isinstance(serial.submit(sys.exit, 3).exception(), SystemExit)

    def press():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        serial.submit(press)


def test_the_serial_executor_may_be_used_from_within_itself():
    serial = SerialExecutor()
    assert serial.submit(lambda: serial.submit(abs, -2).result()).result() == 2


@pytest.mark.parametrize("name", ["serial", "threads", "processes"])
def test_a_call_on_an_executor_that_was_shut_down_is_refused(name):
    made = executor(name, max_workers=1)
    made.shutdown()
    with pytest.raises(errors.ExecutorClosed):
        shoal.map(abs, [1], executor=made)


@pytest.mark.parametrize("name", ["threads", "processes"])
def test_as_many_workers_as_cores_unless_asked_otherwise(name):
    for asked, expected in ((None, available_cores()), (3, 3)):
        made = dispatcher(name, max_workers=asked)
        assert made.workers == expected
        made.finish()


def test_an_executor_of_ours_keeps_its_own_width():
    with executor("processes", max_workers=3) as made:
        assert dispatcher(made).workers == 3
        assert dispatcher(made, max_workers=2).workers == 2


def test_on_a_foreign_executor_max_workers_bounds_the_window_alone():
    with ThreadPoolExecutor(1) as pool:
        asked, unasked = dispatcher(pool, max_workers=3), dispatcher(pool)
        assert isinstance(asked, FutureDispatcher)
        assert asked.window == 6
        assert unasked.window >= FOREIGN_WINDOW


@pytest.mark.parametrize("chosen", ["serial", "threads", "loky", "ray", "dask"])
def test_a_timeout_where_no_task_can_be_stopped_is_refused_by_name(chosen):
    with pytest.raises(
        ValueError, match=r"timeout_seconds=0\.5 needs executor='processes'"
    ) as caught:
        dispatcher(chosen, timeout_seconds=0.5)
    assert repr(chosen) in str(caught.value)


def test_inside_a_worker_the_same_program_runs_inline():
    def nested(_):
        with shoal.executor("processes") as made:
            kind = type(made).__name__
            assert isinstance(made, SerialExecutor)
        pids = shoal.map(lambda _: os.getpid(), range(3))
        return kind, set(pids) == {os.getpid()}

    assert shoal.map(nested, [1]) == [("SerialExecutor", True)]


def test_inside_a_worker_threads_are_still_threads():
    def nested(_):
        return threading.main_thread().ident not in set(
            shoal.map(lambda _: threading.get_ident(), range(3), executor="threads")
        )

    assert shoal.map(nested, [1]) == [True]


def test_the_process_dispatcher_is_what_processes_and_its_executor_get():
    with executor("processes", max_workers=1) as made:
        assert isinstance(dispatcher(made), ProcessDispatcher)
    assert isinstance(dispatcher("processes"), ProcessDispatcher)


def test_a_subclass_of_a_thread_pool_gets_the_objects_themselves():
    class Mine(ThreadPoolExecutor):
        pass

    item = object()
    with Mine(1) as pool:
        assert shoal.map(lambda x: x, [item], executor=pool)[0] is item
