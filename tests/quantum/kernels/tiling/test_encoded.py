import pickle
import threading

import pytest

from shoal.quantum.kernels.tiling.encoded import EncodedBlocks


def doubled(key):
    return key[0] * 2, key[1] * 2


def test_a_block_is_encoded_once_while_it_is_kept():
    calls = []

    def encode(key):
        calls.append(key)
        return key

    blocks = EncodedBlocks(encode, 2)
    for keys in ([("x", 0), ("x", 1)], [("x", 1), ("x", 0)], [("x", 2)], [("x", 1)], [("x", 0)]):
        values, fresh, _ = blocks.get(keys)
        assert values == keys
        assert set(fresh) <= set(keys)
    assert [number for _, number in calls] == [0, 1, 2, 1, 0]  # the one used last stays


def test_a_block_with_itself_is_one_object():
    (left, right), fresh, _ = EncodedBlocks(lambda key: [key], 2).get([("x", 0), ("x", 0)])
    assert left is right
    assert fresh == [("x", 0)]


def test_what_another_thread_is_encoding_is_waited_for():
    begun, go_on = threading.Event(), threading.Event()
    calls = []

    def encode(key):
        calls.append(key)
        begun.set()
        assert go_on.wait(60)
        return key

    blocks, results = EncodedBlocks(encode, 4), []
    threads = [threading.Thread(target=lambda: results.append(blocks.get([("x", 0)])[0]))]
    threads[0].start()
    assert begun.wait(60)
    threads.append(threading.Thread(target=lambda: results.append(blocks.get([("x", 0)])[0])))
    threads[1].start()
    go_on.set()
    for thread in threads:
        thread.join(60)
    assert results == [[("x", 0)]] * 2
    assert calls == [("x", 0)]


def test_an_error_reaches_everybody_and_the_next_one_tries_again():
    tries = []

    def encode(key):
        tries.append(key)
        if len(tries) == 1:
            raise ArithmeticError("once")
        return key

    blocks = EncodedBlocks(encode, 4)
    with pytest.raises(ArithmeticError):
        blocks.get([("x", 0), ("x", 1)])
    assert blocks.get([("x", 1), ("x", 0)])[0] == [("x", 1), ("x", 0)]


def test_blocks_stay_behind_when_it_travels():
    blocks = EncodedBlocks(doubled, 3)
    blocks.get([("x", 1)])
    values, fresh, _ = pickle.loads(pickle.dumps(blocks)).get([("x", 1)])
    assert values == [("xx", 2)]
    assert fresh == [("x", 1)]
