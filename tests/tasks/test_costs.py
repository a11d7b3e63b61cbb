import functools
import threading

import shoal
from shoal.tasks import call
from shoal.tasks.costs import Cost, Costs, signature
from shoal.tasks.indexed import Indexed


def double(x):
    return 2 * x


class Scaled:
    def __init__(self, factor):
        self.factor = factor

    def __call__(self, x):
        return self.factor * x

    def by(self, x):
        return self.factor * x


def holding(value):
    return lambda x: x + value


def test_a_function_is_the_same_whatever_it_holds():
    assert signature(holding(1)) == signature(holding(2))
    assert signature(functools.partial(pow, 2)) == signature(functools.partial(pow, 3)) != pow
    assert signature(Scaled(1)) == signature(Scaled(2))
    assert signature(Scaled(1).by) == signature(Scaled(2).by) == signature(Scaled.by)
    assert signature(Indexed(double, [])) == signature(double)


def test_functions_with_other_code_are_others_under_the_same_name():
    def redefined(text):
        names = {}
        exec(text, names)
        return names["f"]

    first, second = redefined("def f(x): return x"), redefined("def f(x): return x + 1")
    assert signature(first) != signature(second)
    assert signature(first) == signature(redefined("def f(x): return x"))
    assert len({signature(each) for each in (double, abs, len, Scaled(1), Scaled(1).by)}) == 5


def test_an_object_that_has_no_names_or_refuses_them_has_those_of_its_class():
    class Rude:
        def __getattr__(self, name):
            raise RuntimeError(name)

        def __call__(self, x):
            return x

    class Odd:
        __module__ = 5
        __qualname__ = "Odd"

        def __call__(self, x):
            return x

    for each in (Rude(), Odd(), functools.lru_cache(double)):
        assert signature(each) == signature(each)
        hash(signature(each))
    assert signature(Rude()) != signature(Scaled(1))


def test_few_costs_are_kept_and_those_used_last():
    costs = Costs(most=2)
    for name in ("first", "second", "first", "third"):
        costs.learn(name, Cost(1.0, 2.0))
    assert costs.of("second") is None
    assert costs.of("first") == costs.of("third") == Cost(1.0, 2.0)


def test_threads_that_learn_at_once_leave_no_more_than_is_kept():
    costs = Costs(most=8)
    barrier = threading.Barrier(8)

    def learn(number):
        barrier.wait()
        for each in range(2000):
            costs.learn((number, each), Cost(1.0, 1.0))

    threads = [threading.Thread(target=learn, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(costs._costs) == 8


def test_a_call_leaves_behind_what_its_tasks_cost_and_the_next_begins_with_it():
    def slowly(x):
        return sum(range(x))

    assert call._costs.of((signature(slowly), "one", call.executors.ProcessDispatcher)) is None
    expected = [sum(range(x)) for x in range(1000, 1040)]
    assert shoal.map(slowly, range(1000, 1040)) == expected
    cost = call._costs.of((signature(slowly), "one", call.executors.ProcessDispatcher))
    assert 0 < cost.seconds < 1
    assert cost.message_bytes > 0
    for _ in range(3):
        assert shoal.map(slowly, range(1000, 1040)) == expected


def test_an_old_cost_that_is_wrong_a_thousandfold_changes_no_result():
    def powers(scale):
        return lambda x: sum(pow(x, each, 7919) for each in range(scale))

    for scale in (1, 1000, 1, 20_000, 3):
        function = powers(scale)
        assert shoal.map(function, range(30)) == [function(x) for x in range(30)]


def test_small_inputs_before_large_ones_never_make_a_large_message(monkeypatch):
    sent = []
    send = call.executors.ProcessDispatcher.send

    def watched(self, batch):
        sent.append((len(batch.items), size := send(self, batch)))
        return size

    monkeypatch.setattr(call.executors.ProcessDispatcher, "send", watched)
    shoal.map(len, [b"x"] * 1000)
    sent.clear()
    assert shoal.map(len, [bytes(700_000)] * 40) == [700_000] * 40
    assert {count for count, _ in sent} == {1}


def test_two_threads_may_map_one_function_at_once():
    def both(number, got):
        for _ in range(5):
            got[number] = shoal.map(double, range(number, number + 50))

    got = {}
    threads = [threading.Thread(target=both, args=(number, got)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert got == {number: [2 * x for x in range(number, number + 50)] for number in range(3)}
