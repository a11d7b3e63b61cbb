"""Every input is settled exactly once, with its own value or its own error, come what may.

The loop is run on a dispatcher in memory that does what executors do at their worst: it answers in
any order, gives batches back half done, loses workers with and without knowing at which item, and
cannot read some inputs and some results.
"""

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal import errors
from shoal.tasks.batching import BatchSizer
from shoal.tasks.costs import Cost
from shoal.tasks.dispatch import Answer, Batch, Death
from shoal.tasks.envelope import Calling, Ended, capture
from shoal.tasks.failing import Blame
from shoal.tasks.inputs import Inputs
from shoal.tasks.loop import Loop
from shoal.tasks.model import Policy
from tests.searching import examples

ALWAYS = 10**9
RETRIES, DEATH_RETRIES = 2, 3

# What an input does for its first so many runs; afterwards it returns. ALWAYS never ends.
FATES = ("raises", "dies", "hangs", "input unreadable", "result unsendable", "result unreadable")
EXPECTED = {
    "raises": ValueError,
    "dies": errors.WorkerDied,
    "hangs": errors.TaskTimeout,
    "input unreadable": errors.InputNotSent,
    "result unsendable": errors.ResultNotReturned,
    "result unreadable": errors.ResultNotReturned,
}
LIMITS = {"raises": RETRIES, "dies": DEATH_RETRIES, "hangs": RETRIES}


def value_of(index):
    return ("value", index)


def raised(text, kind="raised", crossing=True):
    try:
        raise ValueError(text)
    except ValueError as error:
        return capture(error, crossing=crossing, kind=kind)


class FakeDispatcher:
    """An executor in memory, at its worst and fair: decided by one random generator.

    Attributes:
        runs: How often each input was run.
        most_in_flight: The most batches that were out at once.
        ends: What the loop said at the end.
    """

    def __init__(self, rng, fates=None, *, workers=2, window=4, unknown_positions=0.5):
        self.workers, self.window = workers, window
        self.function_deaths = 0
        self.breaks_after = None
        self.trims = True
        self.out_of_order = True
        self.runs = Counter()
        self.most_in_flight = 0
        self.most_while_probing = 0
        self.sizes = []
        self.ends = []
        self._rng = rng
        self._fates = {index: list(fate) for index, fate in (fates or {}).items()}
        self._unknown = unknown_positions
        self._out = []
        self._answered = 0

    def send(self, batch):
        assert list(batch.items) == [f"item {index}" for index in batch.indices]
        assert len(batch.items) > 0
        self.sizes.append(len(batch.items))
        self._out.append(batch)
        sent_bytes = 10 * len(batch.items)
        self.most_in_flight = max(self.most_in_flight, len(self._out))
        if not self._answered:
            self.most_while_probing = max(self.most_while_probing, len(self._out))
        return sent_bytes

    def receive(self):
        at = self._rng.randrange(len(self._out)) if self.out_of_order else 0
        batch = self._out.pop(at)
        self._answered += 1
        if self.breaks_after is not None and self._answered > self.breaks_after:
            return Answer(batch, error=errors.ExecutorBroken("lost it"))
        if self.function_deaths > 0:
            self.function_deaths -= 1
            return Answer(batch, death=Death(None, "loading killed it", 11, at_function=True))
        return self._run(batch)

    def _now(self, index, *fates):
        """Whether the fate of this input is one of these and not over yet."""
        fate, left = self._fates.get(index, ("", 0))
        return fate in fates and left > 0

    def _spend(self, index):
        if self._fates[index][1] != ALWAYS:
            self._fates[index][1] -= 1

    def _run(self, batch):
        if any(self._now(index, "input unreadable") for index in batch.indices):
            return Answer(batch, unreadable=raised("cannot load", "input"))
        done = self._rng.randint(1, len(batch.items)) if self.trims else len(batch.items)
        ended, unsendable = Ended(worker="fake:1", item_seconds=[], seconds=0.0), {}
        for position, index in enumerate(batch.indices[:done]):
            self.runs[index] += 1
            if self._now(index, "dies", "hangs"):
                return Answer(batch, death=self._death(index, position))
            value = value_of(index)
            if self._now(index, "raises"):
                self._spend(index)
                ended.raised[position], value = raised(f"at {index}"), None
            elif self._now(index, "result unsendable"):
                unsendable[position], value = raised("cannot be pickled", "result"), None
            ended.values.append(value)
            ended.item_seconds.append(0.001 * index)
        if any(self._now(index, "result unreadable") for index in batch.indices[:done]):
            return Answer(batch, unreadable=raised("cannot load", "result", crossing=False))
        ended.raised.update(unsendable)  # found when the batch is done, as in the worker
        ended.seconds = sum(ended.item_seconds)
        return Answer(batch, ended, message_bytes=10 * done)

    def _death(self, index, position):
        hangs = self._now(index, "hangs")
        self._spend(index)
        known = self._rng.random() >= self._unknown
        return Death(
            position if known else None,
            "it was stopped" if hangs else "it was killed",
            signal=9,
            timed_out=hangs,
            worker="fake:9",
        )

    def withdraw(self, *, at_once):
        self.ends.append("at once" if at_once else "withdrawn")

    def finish(self):
        assert not self._out
        self.ends.append("finished")


def source(count, fails_at=None):
    """A generator of inputs that may fail."""
    for index in range(count):
        if index == fails_at:
            raise OSError("the generator failed")
        yield f"item {index}"


def a_loop(dispatcher, inputs, *, fixed=None, most_ahead=None, most_items=50, known=None):
    return Loop(
        Inputs([inputs]),
        dispatcher,
        BatchSizer(dispatcher.workers, fixed=fixed, most_items=most_items, known=known),
        Blame(abs, Calling(timed=True), {}),
        Policy(RETRIES, DEATH_RETRIES, 1.5),
        most_ahead=most_ahead,
    )


def settle_all(loop):
    """Values and errors by index; fails if anything is settled twice."""
    values, failures = {}, {}
    for settled in loop:
        assert settled.stop > settled.start
        assert settled.item_seconds is None or len(settled.item_seconds) == len(settled.values)
        for position, value in enumerate(settled.values):
            index = settled.start + position
            assert index not in values, f"{index} was settled twice"
            values[index] = value
            if settled.item_seconds is not None and value is not None:
                assert settled.item_seconds[position] == 0.001 * index
        assert all(settled.start <= index < settled.stop for index in settled.errors)
        failures.update(settled.errors)
    return values, failures


fates = st.dictionaries(
    st.integers(0, 40),
    st.sampled_from(FATES).flatmap(
        lambda fate: st.tuples(
            st.just(fate),
            st.just(ALWAYS) if fate not in LIMITS else st.sampled_from([1, LIMITS[fate], ALWAYS]),
        )
    ),
    max_size=12,
)
counts = st.integers(0, 60)
seeds = st.integers(0, 2**32)
sizes = st.none() | st.integers(1, 20)
known_length = st.booleans()


def inputs_of(count, known):
    return [f"item {index}" for index in range(count)] if known else source(count)


@examples(400)
@given(count=counts, fates=fates, seed=seeds, fixed=sizes, known=known_length)
def test_every_index_is_settled_once_with_its_own_value_or_its_own_error(
    count, fates, seed, fixed, known
):
    fake = FakeDispatcher(random.Random(seed), fates)
    values, failures = settle_all(a_loop(fake, inputs_of(count, known), fixed=fixed))
    doomed = {index: fate for index, (fate, times) in fates.items() if times == ALWAYS}
    doomed = {index: fate for index, fate in doomed.items() if index < count}
    assert values == {index: None if index in doomed else value_of(index) for index in range(count)}
    assert set(failures) == set(doomed)
    for index, error in failures.items():
        assert type(error) is EXPECTED[doomed[index]]
        assert f"task {index} failed on input 'item {index}'" in "".join(error.__notes__)
    assert fake.ends == ["finished"]


@given(count=counts, fates=fates, seed=seeds, fixed=sizes)
def test_no_more_is_in_flight_than_the_window_and_one_a_worker_until_the_first_answer(
    count, fates, seed, fixed
):
    fake = FakeDispatcher(random.Random(seed), fates, workers=2, window=5)
    settle_all(a_loop(fake, inputs_of(count, True), fixed=fixed))
    assert fake.most_in_flight <= 5
    if fixed is None:
        assert fake.most_while_probing <= 2
        assert set(fake.sizes[:2]) <= {1}


costs = st.builds(Cost, st.floats(0, 1e4), st.floats(0, 1e9))


@given(count=counts, fates=fates, seed=seeds, known=costs)
def test_an_old_cost_changes_nothing_of_what_is_settled_and_only_one_goes_alone(
    count, fates, seed, known
):
    fake = FakeDispatcher(random.Random(seed), fates, workers=2, window=5)
    values, failures = settle_all(a_loop(fake, inputs_of(count, True), known=known))
    doomed = {i for i, (_, times) in fates.items() if times == ALWAYS and i < count}
    assert set(failures) == doomed
    assert set(values) == set(range(count))
    assert fake.most_in_flight <= 5
    assert fake.sizes[:1] in ([], [1])


def test_where_the_cost_is_known_a_short_call_takes_few_batches():
    fake = FakeDispatcher(random.Random(1))
    fake.trims, fake.out_of_order = False, False
    settle_all(a_loop(fake, inputs_of(20, True), known=Cost(0.002, 10.0)))
    assert fake.sizes[:4] == [1, 7, 7, 2]  # all before an answer


transient = st.dictionaries(st.integers(0, 30), st.integers(1, RETRIES + 2), max_size=10)


@given(count=counts, times=transient, seed=seeds, fixed=sizes)
def test_attempts_count_every_run_of_a_task_that_raises(count, times, seed, fixed):
    fates = {index: ("raises", each) for index, each in times.items()}
    fake = FakeDispatcher(random.Random(seed), fates)
    loop = a_loop(fake, inputs_of(count, True), fixed=fixed)
    values, failures = settle_all(loop)
    for index in range(count):
        runs = min(times.get(index, 0), RETRIES) + 1
        failed = times.get(index, 0) > RETRIES
        assert fake.runs[index] == runs
        assert loop.attempt_of(index, failed=failed) == runs
        assert (index in failures) == failed
        assert (values[index] is None) == failed
        if failed:
            assert failures[index].__shoal_failure__.attempts == runs


@pytest.mark.parametrize(("fate", "runs"), [("dies", DEATH_RETRIES + 1), ("hangs", RETRIES + 1)])
@given(count=st.integers(1, 40), seed=seeds, fixed=sizes)
def test_a_culprit_is_tried_alone_as_often_as_allowed_and_costs_nobody_else(
    fate, runs, count, seed, fixed
):
    culprit = seed % count
    fake = FakeDispatcher(random.Random(seed), {culprit: (fate, ALWAYS)}, unknown_positions=0)
    loop = a_loop(fake, inputs_of(count, True), fixed=fixed)
    values, failures = settle_all(loop)
    assert list(failures) == [culprit]
    assert fake.runs[culprit] == runs
    assert loop.attempt_of(culprit, failed=True) == runs
    assert sum(value is None for value in values.values()) == 1


@given(count=st.integers(1, 40), seed=seeds, fixed=sizes, data=st.data())
def test_deaths_at_unknown_items_accuse_nobody_but_the_culprit(count, seed, fixed, data):
    culprits = data.draw(st.sets(st.integers(0, count - 1), min_size=1, max_size=3))
    fake = FakeDispatcher(
        random.Random(seed),
        dict.fromkeys(culprits, ("dies", ALWAYS)),
        unknown_positions=1,
    )
    values, failures = settle_all(a_loop(fake, inputs_of(count, True), fixed=fixed))
    assert set(failures) == culprits
    assert all(error.attempts == DEATH_RETRIES + 1 for error in failures.values())
    assert {index for index, value in values.items() if value is None} == culprits


def test_a_death_and_an_exception_are_counted_apart():
    fake = FakeDispatcher(random.Random(1), {0: ("dies", DEATH_RETRIES)}, unknown_positions=0)
    loop = a_loop(fake, inputs_of(1, True))
    values, failures = settle_all(loop)
    assert values == {0: value_of(0)}
    assert failures == {}
    assert loop.attempt_of(0, failed=False) == DEATH_RETRIES + 1


def test_no_retries_run_everything_once():
    fates = {1: ("raises", ALWAYS), 3: ("dies", ALWAYS)}
    fake = FakeDispatcher(random.Random(1), fates, unknown_positions=0)
    fake.trims = False
    loop = a_loop(fake, inputs_of(5, True), fixed=1)
    loop._policy = Policy(0, 0)
    _, failures = settle_all(loop)
    assert set(failures) == {1, 3}
    assert set(fake.runs.values()) == {1}


@given(seed=seeds, fixed=sizes, deaths=st.integers(0, DEATH_RETRIES))
def test_a_function_that_kills_workers_now_and_then_is_tried_again(seed, fixed, deaths):
    fake = FakeDispatcher(random.Random(seed))
    fake.function_deaths = deaths
    values, failures = settle_all(a_loop(fake, inputs_of(10, True), fixed=fixed))
    assert values == {index: value_of(index) for index in range(10)}
    assert failures == {}


def test_a_function_that_always_kills_workers_ends_the_call():
    fake = FakeDispatcher(random.Random(1))
    fake.function_deaths = ALWAYS
    with pytest.raises(errors.WorkerDied, match="while it loaded the function"):
        settle_all(a_loop(fake, inputs_of(10, True)))
    assert fake.ends == ["withdrawn"]


def test_a_function_that_is_loaded_in_between_is_not_what_kills_workers():
    class Unlucky(FakeDispatcher):
        """Every other worker dies while it loads the function."""

        def receive(self):
            self.function_deaths = self._answered % 2
            return super().receive()

    fake = Unlucky(random.Random(1))
    values, failures = settle_all(a_loop(fake, inputs_of(20, True), fixed=1))
    assert values == {index: value_of(index) for index in range(20)}
    assert failures == {}


def test_a_function_that_cannot_be_loaded_ends_the_call():
    class Refuses(FakeDispatcher):
        def _run(self, batch):
            return Answer(batch, unreadable=raised("no module", "function"))

    with pytest.raises(errors.FunctionNotSent, match="no module"):
        settle_all(a_loop(Refuses(random.Random(1)), inputs_of(10, True)))


@given(seed=seeds, count=st.integers(1, 40), after=st.integers(0, 5), fixed=sizes)
def test_a_broken_executor_ends_the_call_with_its_own_error(seed, count, after, fixed):
    fake = FakeDispatcher(random.Random(seed))
    fake.breaks_after = after
    loop = a_loop(fake, inputs_of(count, True), fixed=fixed)
    try:
        settle_all(loop)
    except errors.ExecutorBroken:
        assert fake._answered == after + 1
    else:
        assert fake._answered <= after
    assert len(fake.ends) == 1


@examples(300)
@given(count=st.integers(1, 60), fates=fates, seed=seeds, fixed=sizes, known=known_length)
def test_stopping_before_each_error_finds_the_first_in_input_order(
    count, fates, seed, fixed, known
):
    fake = FakeDispatcher(random.Random(seed), fates)
    loop = a_loop(fake, inputs_of(count, known), fixed=fixed)
    failures, done = {}, set()
    for settled in loop:
        done.update(range(settled.start, settled.stop))
        failures.update(settled.errors)
        if failures:
            loop.stop_before(min(failures))
    doomed = [index for index, (_, times) in fates.items() if times == ALWAYS and index < count]
    if doomed:
        assert min(failures) == min(doomed)
        assert done >= set(range(min(doomed) + 1))
    else:
        assert failures == {}
        assert done == set(range(count))


@given(seed=seeds, fixed=sizes)
def test_after_an_error_nothing_new_is_drawn(seed, fixed):
    fake = FakeDispatcher(random.Random(seed), {0: ("raises", ALWAYS)})
    loop = a_loop(fake, source(1000), fixed=fixed)
    drawn = None
    for settled in loop:
        if settled.errors:
            loop.stop_before(min(settled.errors))
            drawn = loop._inputs.drawn
    assert drawn == loop._inputs.drawn < 1000


@given(count=st.integers(0, 40), seed=seeds, fixed=sizes, data=st.data())
def test_a_generator_that_fails_raises_when_all_it_gave_has_settled(count, seed, fixed, data):
    fails_at = data.draw(st.integers(0, count))
    fake = FakeDispatcher(random.Random(seed))
    values = {}

    def read():
        for settled in a_loop(fake, source(count + 1, fails_at), fixed=fixed):
            values.update(enumerate(settled.values, settled.start))

    with pytest.raises(OSError, match="the generator failed"):
        read()
    assert values == {index: value_of(index) for index in range(fails_at)}
    assert fake.ends == ["finished"]


@given(seed=seeds, most_ahead=st.integers(1, 6), fates=fates)
def test_a_reader_that_holds_back_is_never_outrun(seed, most_ahead, fates):
    """As imap reads: what has settled out of order is held until what was before it has."""
    fake = FakeDispatcher(random.Random(seed), fates, workers=1, window=6)
    loop = a_loop(fake, source(60), fixed=1, most_ahead=most_ahead)
    waiting, due = {}, 0
    for settled in loop:
        waiting[settled.start] = settled
        while due in waiting:
            due = waiting.pop(due).stop
        loop.held = len(waiting)
        assert loop.held + len(fake._out) <= max(most_ahead, 1) + 1
    assert due == 60


def test_nothing_is_drawn_or_sent_before_the_first_value_is_asked_for():
    fake = FakeDispatcher(random.Random(1))
    loop = a_loop(fake, source(3))
    settling = iter(loop)
    assert fake.sizes == []
    assert loop._inputs.drawn == 0
    next(settling)
    assert fake.sizes
    settling.close()


def test_closing_half_way_withdraws_and_lets_what_runs_come_to_its_end():
    fake = FakeDispatcher(random.Random(1))
    settling = iter(a_loop(fake, source(100), fixed=1))
    next(settling)
    settling.close()
    assert fake.ends == ["withdrawn"]


def test_ctrl_c_withdraws_at_once():
    fake = FakeDispatcher(random.Random(1))
    settling = iter(a_loop(fake, source(100), fixed=1))
    next(settling)
    with pytest.raises(KeyboardInterrupt):
        settling.throw(KeyboardInterrupt)
    assert fake.ends == ["at once"]


def test_no_inputs_settle_nothing_and_free_what_is_held():
    fake = FakeDispatcher(random.Random(1))
    assert settle_all(a_loop(fake, [])) == ({}, {})
    assert fake.ends == ["finished"]


def test_the_rest_of_a_trimmed_batch_is_dealt_out_before_new_inputs():
    sent = []

    class Watching(FakeDispatcher):
        def send(self, batch):
            sent.append(batch.start)
            return super().send(batch)

        def _run(self, batch):
            if batch == Batch(0, batch.items) and len(batch.items) == 10:
                ended = Ended([value_of(index) for index in range(2)], seconds=1.0)
                return Answer(batch, ended)
            return super()._run(batch)

    fake = Watching(random.Random(1), window=1, workers=1)
    fake.trims = False
    settle_all(a_loop(fake, inputs_of(30, True), fixed=10))
    assert sent == [0, 2, 10, 20]


@given(seed=seeds, fixed=sizes, times=st.integers(1, RETRIES))
def test_attempts_before_a_result_that_cannot_be_read_are_counted_too(seed, fixed, times):
    class Both(FakeDispatcher):
        def _run(self, batch):
            if batch.start == 0 and self.runs[0] < times:
                self.runs[0] += 1
                return Answer(batch, Ended([None], {0: raised("once more")}, 0.1, [0.0], "fake:1"))
            return super()._run(batch)

    loop = a_loop(Both(random.Random(seed), {0: ("result unreadable", ALWAYS)}), ["item 0"])
    _, failures = settle_all(loop)
    assert failures[0].__shoal_failure__.attempts == times + 1
    assert loop.attempt_of(0, failed=True) == times + 1


@given(
    seed=st.integers(0, 2**32 - 1),
    fixed=st.none() | st.integers(1, 9),
    after=st.integers(0, 5),
    fates=fates,
)
def test_when_no_more_is_to_be_drawn_what_was_begun_still_settles(seed, fixed, after, fates):
    loop = a_loop(FakeDispatcher(random.Random(seed), fates), source(60), fixed=fixed)
    settled, begun = [], None
    for each in loop:
        settled += range(each.start, each.stop)
        if begun is None and len(settled) > after:
            begun = loop.draw_no_more()
    assert sorted(settled) == list(range(60 if begun is None else begun))
    assert loop.draw_no_more() == len(settled)


@given(seed=st.integers(0, 2**32 - 1), fixed=st.integers(1, 9), fates=fates)
def test_the_time_of_a_batch_is_counted_once_however_it_is_parted(seed, fixed, fates):
    dispatcher = FakeDispatcher(random.Random(seed), fates)
    all_batches, whole = [], []
    receive = dispatcher.receive

    def counted():
        answer = receive()
        if answer.ended is not None:
            answer.ended.cpu_seconds = answer.ended.seconds / 2
            all_batches.append(answer.ended.seconds)
            if not answer.ended.raised:
                whole.append(answer.ended.seconds)
        return answer

    dispatcher.receive = counted
    settled = list(a_loop(dispatcher, source(40), fixed=fixed))
    total = sum(each.seconds for each in settled)
    assert sum(whole) - 1e-9 <= total <= sum(all_batches) + 1e-9
    assert sum(each.cpu_seconds for each in settled) == pytest.approx(total / 2)
