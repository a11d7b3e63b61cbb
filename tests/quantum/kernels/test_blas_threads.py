import threading

import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from shoal.quantum.kernels.blas_threads import one_thread


def threads():
    return [each["num_threads"] for each in threadpool_info() if each["user_api"] == "blas"]


def elsewhere(function):
    """Runs a function in a thread of its own, to its end."""
    thread = threading.Thread(target=function)
    thread.start()
    thread.join(60)


@pytest.fixture
def before():
    """The threads that every BLAS has been given; some know one only."""
    with one_thread():
        pass
    with threadpool_limits(2, user_api="blas"):
        yield threads()


def test_the_threads_of_blas_are_as_before_when_the_tiles_are_done(before):
    with one_thread():
        assert set(threads()) == {1}
    assert threads() == before


def test_overlapping_calls_set_the_threads_back_when_the_last_one_is_done(before):
    first, second = one_thread(), one_thread()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert set(threads()) == {1}
    second.__exit__(None, None, None)
    assert threads() == before


def test_every_thread_may_set_them_whoever_has_done_so_before(before):
    seen = []

    def limited():
        with one_thread():
            seen.extend(threads())

    elsewhere(limited)
    assert set(seen) == {1}
    assert threads() == before


def test_the_last_one_out_may_be_another_thread_than_the_first_one_in(before):
    context = one_thread()
    context.__enter__()
    elsewhere(context.__enter__)
    context.__exit__(None, None, None)
    assert set(threads()) == {1}
    elsewhere(lambda: context.__exit__(None, None, None))
    assert threads() == before
