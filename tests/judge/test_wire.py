"""The codec: everything that is sent arrives, and hostile bytes give a WireError or a value."""

import math
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from linewise.judge.compare import equal
from linewise.judge.wire import (
    HEADER,
    MAX_DEPTH,
    MAX_INTEGER_BITS,
    FrameReader,
    Members,
    Opaque,
    Pairs,
    TooLargeError,
    ValueEncoder,
    WireError,
    decode_payload,
    decode_value,
    encode_frame,
)

LIMIT = 1 << 20

hashable = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.complex_numbers(),
    lambda parts: st.tuples(parts, parts) | st.frozensets(parts, max_size=3),
    max_leaves=5,
)
literals = st.recursive(
    hashable,
    lambda parts: (
        st.lists(parts, max_size=4)
        | st.tuples(parts, parts)
        | st.sets(hashable, max_size=3)
        | st.dictionaries(hashable, parts, max_size=3)
    ),
    max_leaves=20,
)
trees = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda parts: (
        st.lists(parts, max_size=4)
        | st.dictionaries(st.sampled_from(["t", "s", "z", "d", "i", "f", "b", "c", "o"]), parts, max_size=2)
    ),
    max_leaves=20,
)


def sent(value: object) -> object:
    """What arrives when a child sends `value`."""
    (content,) = FrameReader(LIMIT).feed(encode_frame({"value": ValueEncoder(LIMIT).encode(value)}))
    return decode_value(content["value"])


@settings(max_examples=150, deadline=None)
@given(literals)
def test_every_builtin_value_arrives_equal_to_itself(value: object) -> None:
    assert equal(value, sent(value))


def test_values_have_the_documented_form() -> None:
    encode = ValueEncoder(LIMIT).encode
    assert encode([1, "a", 2.5, None, True]) == [1, "a", 2.5, None, True]
    assert encode((1, b"a")) == {"t": [1, {"b": "61"}]}
    assert encode({1: {2}}) == {"d": [[1, {"s": [2]}]]}
    assert encode(10**20) == {"i": "0x56bc75e2d63100000"}
    assert encode(math.inf) == {"f": "inf"}
    assert sent({1: frozenset({2})}) == Pairs(((1, Members((2,), frozen=True)),))
    assert sent("\ud800") == "\ud800"


def test_subclasses_are_opaque_and_their_methods_are_not_called() -> None:
    class Liar(int):
        def __eq__(self, other: object) -> bool:
            raise AssertionError("called")

        __hash__ = int.__hash__

        def __repr__(self) -> str:
            raise ValueError("no text either")

    assert sent(Liar(5)) == Opaque("Liar", "")


def test_too_large_values_stop_early_even_where_parts_are_shared() -> None:
    shared = ["x" * 1000] * 10_000
    with pytest.raises(TooLargeError):
        ValueEncoder(LIMIT).encode(shared)
    endless: list[object] = []
    endless.extend([endless, endless])
    with pytest.raises(TooLargeError):
        ValueEncoder(10_000).encode(endless)


def test_depth_and_digits_are_capped() -> None:
    deep: list[object] = []
    for _ in range(MAX_DEPTH + 50):
        deep = [deep]
    value = sent(deep)
    for _ in range(MAX_DEPTH):
        assert isinstance(value, list)
        (value,) = value
    assert value == Opaque("list", "nested too deeply")
    assert isinstance(sent(1 << MAX_INTEGER_BITS), Opaque)
    assert sent(1 << (MAX_INTEGER_BITS - 1)) == 1 << (MAX_INTEGER_BITS - 1)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200))
def test_arbitrary_bytes_never_crash_the_reader(data: bytes) -> None:
    with suppress(WireError):
        list(FrameReader(1000).feed(data))
    with suppress(WireError):
        decode_payload(data)


@settings(max_examples=300, deadline=None)
@given(trees)
def test_arbitrary_trees_never_crash_the_decoder(tree: object) -> None:
    with suppress(WireError):
        decode_value(tree)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "payload",
    [
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"1" * 5000,
        b'{"cpu": 1' + b"0" * 400 + b".0}",
        b'{"cpu": NaN}',
        b"\xff\xfe",
        b"[]",
        b'"text"',
        b'{"value": 123456789012345678901}',
    ],
    ids=["deep list", "deep object", "digits", "infinite float", "nan", "not utf-8", "list", "text", "plain big int"],
)
def test_hostile_payloads_are_refused(payload: bytes) -> None:
    with pytest.raises(WireError):
        decode_payload(payload)


@pytest.mark.parametrize(
    "tree",
    [
        {},
        {"t": [], "s": []},
        {"x": []},
        {"d": [[1, 2, 3]]},
        {"i": "0x" + "f" * MAX_INTEGER_BITS},
        {"i": "seven"},
        {"f": "1.0"},
        {"b": "zz"},
        {"c": [1.0]},
        {"c": [1.0, []]},
        {"o": ["name", "x" * 300]},
        {"o": [1, 2]},
    ],
    ids=str,
)
def test_hostile_trees_are_refused(tree: object) -> None:
    with pytest.raises(WireError):
        decode_value(tree)  # type: ignore[arg-type]


def test_frames_are_cut_wherever_the_stream_is_cut() -> None:
    stream = encode_frame({"kind": "begun"}) + encode_frame({"kind": "loaded", "cpu": 0.5})
    reader = FrameReader(100)
    found = [content for byte in stream for content in reader.feed(bytes([byte]))]
    assert found == [{"kind": "begun"}, {"kind": "loaded", "cpu": 0.5}]


def test_a_frame_that_announces_too_much_is_refused_at_once() -> None:
    with pytest.raises(WireError):
        list(FrameReader(100).feed(HEADER.pack(101)))


def test_frames_before_the_break_are_read() -> None:
    frames = FrameReader(100).feed(encode_frame({"kind": "begun"}) + b"\xff" * 10)
    assert next(frames) == {"kind": "begun"}
    with pytest.raises(WireError):
        next(frames)
