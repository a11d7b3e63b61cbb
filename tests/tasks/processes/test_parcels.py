"""Parcels and calls are told apart by number and by identity, never by content."""

from shoal.tasks.processes.packing import Packed
from shoal.tasks.processes.parcels import Call, Lost, Parcel


def call():
    return Call(function=Packed(b"f"), function_number=1, limit=2, context=b"")


def test_every_parcel_has_a_number_of_its_own():
    shared = call()
    tags = [Parcel(shared, Packed(b"x"), None).tag for _ in range(100)]
    assert len(set(tags)) == 100
    assert min(tags) > 0


def test_two_calls_of_the_same_content_are_two_calls():
    one, other = call(), call()
    assert one != other
    assert one.regions is not other.regions
    assert len({one, other}) == 2


def test_two_parcels_of_the_same_content_are_two_parcels():
    shared, items = call(), Packed(b"x")
    assert Parcel(shared, items, None, tag=5) != Parcel(shared, items, None, tag=5)


def test_a_loss_is_its_description():
    def lost(pid):
        return Lost(
            position=3,
            signal=9,
            exit_code=None,
            timed_out=False,
            out_of_memory=False,
            trace="",
            pid=pid,
        )

    assert lost(1) == lost(1) != lost(2)
