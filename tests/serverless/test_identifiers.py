"""Ids are UUIDs of version 7, in the order in which they were made."""

from concurrent.futures import ThreadPoolExecutor
from uuid import RFC_4122, UUID

from shoal.serverless.identifiers import new_id


def test_ids_are_uuids_in_the_order_in_which_they_were_made():
    made = [new_id() for _ in range(2000)]
    assert made == sorted(set(made))
    assert {(UUID(each).version, UUID(each).variant) for each in made} == {(7, RFC_4122)}


def test_ids_of_several_threads_never_repeat():
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: new_id(), range(4000)))
    assert len(set(made)) == 4000
