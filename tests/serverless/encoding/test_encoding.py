"""What is written is read back, and what cannot be is said where it stands."""

import json
import zlib
from base64 import b64decode, b64encode
from datetime import UTC, date, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.errors import MissingExtra
from shoal.serverless.encoding import Decoder, Encoder, decode, encode, reading

plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(plain)
def test_json_is_written_as_json_and_read_back(value):
    assert json.loads(encode(value)) == value or "__type__" in str(value)
    assert decode(encode(value)) == value


@given(st.complex_numbers(allow_nan=False) | st.datetimes() | st.sets(st.integers()))
def test_what_json_does_not_know_is_read_back(value):
    found = decode(encode({"at": [value]}))["at"][0]
    assert (type(found), found) == (type(value), value)


@pytest.mark.parametrize(
    "dtype", ["?", "i1", "i8", "u2", "f2", "f4", "f8", "c8", "c16", "U3", "S2"]
)
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 0, 3), (2, 3)])
def test_arrays_are_read_back_bit_for_bit(dtype, shape):
    array = np.frombuffer(np.random.default_rng(1).bytes(512), "u1")[:96].reshape(-1)
    value = np.resize(array.astype("i4").astype(dtype), shape)
    found = decode(encode(value))
    assert (found.dtype, found.shape, found.tobytes()) == (
        value.dtype,
        value.shape,
        value.tobytes(),
    )


def test_arrays_that_are_views_and_of_fields_are_read_back():
    for value in (np.arange(12.0).reshape(3, 4).T[::2], np.zeros(2, [("a", "i4"), ("b", "f8")])):
        np.testing.assert_array_equal(decode(encode(value)), value)


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ((1, 2), [1, 2]),
        ({1: "a", None: "b"}, {"1": "a", "null": "b"}),
        (np.float32(0.5), 0.5),
        (np.int64(3), 3),
        (np.bool_(True), True),
        (np.complex64(1j), 1j),
        (np.array([{"a": 1}], dtype=object), np.array([{"a": 1}])),
        (frozenset([1]), {1}),
        (date(2024, 2, 3), datetime(2024, 2, 3)),  # noqa: DTZ001
        (datetime(2024, 2, 3, tzinfo=UTC), datetime(2024, 2, 3, tzinfo=UTC)),
        (float("inf"), float("inf")),
    ],
)
def test_some_values_come_back_as_their_nearest(value, found):
    assert decode(encode(value)) == found


class Awkward:
    """Of no form."""


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (Awkward(), "value cannot be written as JSON: it is of type Awkward"),
        ({"a": [1, {"b": Awkward()}]}, r"value\['a'\]\[1\]\['b'\] cannot be written"),
        ((1, print), r"value\[1\] cannot be written"),
        ({"a": {(1, 2): 3}}, r"value\['a'\] has a key of type tuple: expected text or a number"),
        ({b"a": 3}, "value has a key of type bytes"),
        (b"abc", "it is of type bytes"),
        ({1, Awkward}, "value cannot be written"),
    ],
)
def test_what_cannot_be_written_is_named_with_its_place(value, message):
    with pytest.raises(TypeError, match=message):
        encode(value)


def test_what_contains_itself_or_is_endless_is_refused():
    circle, deep = [], []
    circle.append({"again": circle})
    for _ in range(100_000):
        deep = [deep]
    for value in (circle, deep):
        with pytest.raises(ValueError, match="Circular|nested too deeply"):
            encode(value)
    with pytest.raises(ValueError, match="nested too deeply"):
        decode("[" * 100_000 + "]" * 100_000)


@pytest.mark.parametrize(
    "text",
    [
        '{"__type__": "unknown", "__value__": 1}',
        '{"__type__": 3, "__value__": 1}',
        '{"__type__": "complex"}',
        '{"__value__": 1}',
        '{"__type__": ["complex"], "__value__": [1, 2]}',
        '{"__type__": "settings", "__module__": "os", "__class__": "system", "__value__": {}}',
        '{"__type__": "settings", "__module__": "qiskit.x", "__class__": "C", "__value__": 1}',
        '{"__type__": "_json", "__module__": "os", "__class__": "system", "__value__": {}}',
        '{"__type__": "QiskitRuntimeService", "__value__": {"token": "t"}}',
        '{"__type__": "NoiseLearnerResult", "__value__": {}}',
    ],
)
def test_forms_that_are_not_known_or_not_trusted_stay_what_they_are(text):
    assert decode(text) == json.loads(text)


def form(name, content):
    return json.dumps({"__type__": name, "__value__": content})


@pytest.mark.parametrize(
    "text",
    [
        form("complex", [1]),
        form("ndarray", "!"),
        form("ndarray", b64encode(zlib.compress(b"x")).decode()),
        form("datetime", "yesterday"),
        form("set", [[1]]),
        form("QuantumCircuit", "AAAA"),
        form("BitArray", {"array": 1}),
        form("Parameter", "AA=="),
        "{",
        "",
    ],
)
def test_damage_is_a_value_error(text):
    with pytest.raises(ValueError, match=r"cannot be read|Expecting"):
        decode(text)


def test_pickles_in_arrays_are_refused():
    class Bad:
        def __reduce__(self):
            return print, ("unpickled",)

    import io

    file = io.BytesIO()
    np.save(file, np.array([Bad()], dtype=object), allow_pickle=True)
    text = form("ndarray", b64encode(zlib.compress(file.getvalue())).decode())
    with pytest.raises(ValueError, match="allow_pickle=False"):
        decode(text)


def test_what_unpacks_without_end_is_refused(monkeypatch):
    monkeypatch.setattr(reading, "MOST_BYTES", 1000)
    with pytest.raises(ValueError, match="more than 1000 bytes"):
        decode(encode(np.zeros(1000)))


def test_a_missing_package_is_named(monkeypatch):
    text = encode(np.arange(3))
    monkeypatch.setitem(__import__("sys").modules, "numpy", None)
    with pytest.raises(MissingExtra, match="needs numpy, which is not installed"):
        decode(text)


def test_an_array_is_what_the_published_clients_write():
    """``base64(zlib(npy))``."""
    told = json.loads(encode(np.arange(3, dtype="<i8")))
    assert told["__type__"] == "ndarray"
    assert zlib.decompress(b64decode(told["__value__"]))[:6] == b"\x93NUMPY"


def test_encoder_and_decoder_are_those_of_json():
    text = json.dumps({"z": 1j}, cls=Encoder, indent=1)
    assert json.loads(text, cls=Decoder) == {"z": 1j}
