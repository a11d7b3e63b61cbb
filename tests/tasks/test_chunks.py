"""Executor.map in chunks: order, errors after their values, cancelling what is not read."""

from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from shoal.tasks.chunks import map_in_chunks


def chunked(inputs, fn=abs, **options):
    options = {"timeout": None, "chunksize": None, "workers": 2, **options}
    with ThreadPoolExecutor(2) as pool:
        sizes = []

        def submit(call, function, chunk):
            sizes.append(len(chunk))
            return pool.submit(call, function, chunk)

        return list(map_in_chunks(submit, fn, (inputs,), **options)), sizes


def test_inputs_are_cut_in_sixteen_chunks_a_worker():
    values, sizes = chunked(range(64))
    assert values == list(range(64))
    assert sizes == [2] * 32


def test_a_chunk_size_that_is_given_is_kept():
    assert chunked(range(7), chunksize=3) == (list(range(7)), [3, 3, 1])


def test_chunks_of_nothing_are_refused():
    with pytest.raises(ValueError, match="chunksize=0"):
        chunked([1], chunksize=0)


def test_an_error_comes_after_the_values_before_it_and_names_its_input():
    waiting = Future()

    def submit(call, function, chunk):
        if chunk[0][0] > 2:
            return waiting
        done = Future()
        done.set_result(call(function, chunk))
        return done

    results = map_in_chunks(
        submit, lambda x: 1 // x, ([2, 1, 0, 5, 6],), timeout=None, chunksize=3, workers=2
    )
    assert [next(results), next(results)] == [0, 1]
    with pytest.raises(ZeroDivisionError) as caught:
        next(results)
    assert "on input 0" in caught.value.__notes__[0]
    assert waiting.cancelled()
