"""An event stream is read as the standard says, however it is cut; states have users' words."""

import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.serverless import GatewayUnreachable
from shoal.serverless.client.updates import ON_THE_WIRE, State, events
from shoal.serverless.models import JobStatus

TEXT = "a\u2028b\x85c\u0000 ü \U0001f41f\n"


def stream(end="\n"):
    lines = [
        ": ping",
        "",
        "event: status",
        'data: {"status": "RUNNING"}',
        "",
        "event: log",
        "id: 17",
        f"data: {json.dumps({'text': TEXT, 'start': 3}, ensure_ascii=False)}",
        "",
        "event: status",
        'data: {"status":',
        'data: "SUCCEEDED"}',
        "retry: 5",
        "",
        "data: never ended",
    ]
    return end.join(lines).encode()


TOLD = [
    ("comment", {}),
    ("status", {"status": "RUNNING"}),
    ("log", {"end": "17", "text": TEXT, "start": 3}),
    ("status", {"status": "SUCCEEDED"}),
]


@given(st.lists(st.integers(0, len(stream())), max_size=8), st.sampled_from(["\n", "\r\n"]))
def test_events_do_not_depend_on_where_the_stream_is_cut(cuts, end):
    whole = stream(end)
    places = [0, *sorted(cuts), len(whole)]
    chunks = [whole[a:b] for a, b in itertools.pairwise(places)]
    assert list(events(chunks)) == TOLD


@pytest.mark.parametrize("data", [b"{", b"3", b"[]", b"\xff"])
def test_an_event_that_is_none_is_the_gateways_fault(data):
    with pytest.raises(GatewayUnreachable, match="an event of the gateway"):
        list(events([b"data: ", data, b"\n\n"]))


def test_every_status_of_the_gateway_has_a_word_for_users_and_back():
    for status in JobStatus:
        shown = State(str(status)).shown
        assert ON_THE_WIRE.get(shown, shown) == status
        assert State(str(status)).is_terminal == status.is_terminal


@pytest.mark.parametrize(
    ("status", "sub_status", "shown"),
    [
        ("QUEUED", None, "QUEUED"),
        ("PENDING", None, "INITIALIZING"),
        ("RUNNING", "MAPPING", "RUNNING: MAPPING"),
        ("RUNNING", "WAITING_QPU", "RUNNING: WAITING_FOR_QPU"),
        ("SUCCEEDED", "POST_PROCESSING", "DONE"),
        ("STOPPED", None, "CANCELED"),
        ("FAILED", None, "ERROR"),
        ("LATER", None, "LATER"),
    ],
)
def test_a_status_is_shown_as_the_published_clients_show_it(status, sub_status, shown):
    assert State.of({"status": status, "sub_status": sub_status}).shown == shown
