from shoal.quantum.pennylane.tracking import recorded, replay


class Device:
    tracker = "its own"


class Heard:
    def __init__(self):
        self.told = []

    def update(self, **told):
        self.told.append(told)

    def record(self):
        self.told.append(None)


def test_what_a_device_tells_is_recorded_and_its_tracker_put_back():
    device = Device()
    with recorded(device, wanted=True) as updates:
        device.tracker.update(batches=1)
        device.tracker.record()
    assert updates == [{"batches": 1}, None]
    assert device.tracker == "its own"
    with recorded(device, wanted=False) as updates:
        assert device.tracker == "its own"
    assert updates == []


def test_calls_count_once_and_come_first_where_they_came_first():
    heard = Heard()
    replay(heard, [[{"batches": 1}, None, {"shots": 3}, None]] * 2)
    assert heard.told == [{"batches": 1}, None, {"shots": 3}, None, {"shots": 3}, None]


def test_what_stands_beside_a_call_is_added_up():
    heard = Heard()
    one = [{"resources": "a"}, {"execute_and_derivative_batches": 1, "derivatives": 1}, None]
    replay(heard, [one, one])
    together = {"execute_and_derivative_batches": 1, "derivatives": 2}
    assert heard.told == [{"resources": "a"}, {"resources": "a"}, together, None]


def test_nothing_told_is_nothing_replayed():
    heard = Heard()
    replay(heard, [[], []])
    assert heard.told == []
