"""The language between a child and the parent: values as tagged JSON, in length-prefixed frames. Standard library only.

The child writes, the parent reads and trusts nothing: `FrameReader` and `decode_value` are total, so hostile bytes give
a `WireError` or a value, in time linear in their number. Dictionaries and sets stay sequences of their entries
(`Pairs`, `Members`): entries chosen to collide would make the parent spend minutes on building a hash table.

    1, "a", 2.5, None, [1]     themselves          b"a"    {"b": "61"}            {1}             {"s": [1]}
    10**20                     {"i": "0x56b..."}   1j      {"c": [0.0, 1.0]}      frozenset({1})  {"z": [1]}
    nan, inf                   {"f": "nan"}        (1, 2)  {"t": [1, 2]}          {1: 2}          {"d": [[1, 2]]}
    any other object           {"o": [type name, repr]}
"""

import json
import math
import struct
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

MAX_DEPTH = 100
"""Containers nested more deeply are sent as `Opaque`."""
MAX_INTEGER_BITS = 1 << 18
"""Larger integers are sent as `Opaque`."""
SMALL_INTEGER = 10**15
"""Integers below it in size are plain JSON numbers."""
MAX_OPAQUE_CHARS = 200
HEADER = struct.Struct("!I")
"""A frame is its payload's length in four bytes, then the payload."""

RUN, KILL, READY = b"run", b"kill", b"ready"
"""Packets between the parent and a zygote; RUN carries the child's descriptors."""
STARTED = struct.Struct("!i")
"""Packet of the zygote: the child's process id."""
ENDED = struct.Struct("!idq")
"""Packet of the zygote: wait status, CPU seconds, peak resident kilobytes."""

_encode_chunks = json.encoder.c_make_encoder(  # type: ignore[attr-defined]
    None, json.JSONEncoder().default, json.encoder.encode_basestring_ascii, None, ":", ",", False, False, False
)
"""What `json.dumps` makes anew for each call; in a child that costs as much as a short test."""


class WireError(Exception):
    """Bytes that no honest child writes."""


class TooLargeError(Exception):
    """A value whose encoding exceeds the output limit."""


@dataclass(frozen=True, slots=True)
class Members:
    """The members of a set, in the order in which they came."""

    items: tuple["Value", ...]
    frozen: bool = False


@dataclass(frozen=True, slots=True)
class Pairs:
    """The keys and values of a dictionary, in the order in which they came."""

    items: tuple[tuple["Value", "Value"], ...]


@dataclass(frozen=True, slots=True)
class Opaque:
    """An object of a type that is not compared; it equals nothing."""

    type_name: str
    text: str


Scalar: TypeAlias = bool | int | float | complex | str | bytes | None
Value: TypeAlias = "Scalar | list[Value] | tuple[Value, ...] | Members | Pairs | Opaque"
Tree: TypeAlias = "bool | int | float | str | list[Tree] | dict[str, Tree] | None"
"""What JSON can hold."""


# --------------------------------------------------------------------------------------------- values: the child's side


class ValueEncoder:
    """Turns one value into a JSON tree. `limit` bounds its size in bytes, so that shared parts cannot multiply."""

    def __init__(self, limit: int) -> None:
        self.left = limit

    def spend(self, size: int) -> None:
        """Take `size` bytes from what is left. Raises `TooLargeError`."""
        self.left -= size
        if self.left < 0:
            raise TooLargeError

    def encode(self, value: Any, depth: int = 0) -> Any:
        """The tree of `value`. Only the methods of builtin types are called, never those of a subclass."""
        self.spend(1)
        kind = type(value)
        if value is None or kind is bool:
            return value
        if kind is int:
            return self._integer(value)
        if kind is str:
            self.spend(len(value))
            return value
        if kind is float:
            return value if math.isfinite(value) else {"f": repr(value)}
        if kind is bytes:
            self.spend(2 * len(value))
            return {"b": value.hex()}
        if kind is complex:
            return {"c": [self.encode(value.real), self.encode(value.imag)]}
        if depth == MAX_DEPTH:
            return {"o": [kind.__name__, "nested too deeply"]}
        if kind is list:
            return self._items(value, depth + 1)
        tag = CONTAINER_TAGS.get(kind)
        if tag is not None:
            return {tag: self._items(list(value), depth + 1)}
        if kind in DICTIONARIES:
            items = dict.items(value)
            return {"d": [[self.encode(key, depth + 1), self.encode(item, depth + 1)] for key, item in items]}
        return self._opaque(value)

    def _items(self, items: list[Any], depth: int) -> Any:
        kinds = set(map(type, items))
        if kinds == {int} and max(items) < SMALL_INTEGER and min(items) > -SMALL_INTEGER:
            self.spend(2 * len(items))
            return items
        if kinds == {str}:
            self.spend(3 * len(items) + sum(map(len, items)))
            return items
        if kinds == {float} and all(map(math.isfinite, items)):
            self.spend(4 * len(items))
            return items
        return [self.encode(item, depth) for item in items]

    def _integer(self, value: int) -> Tree:
        if -SMALL_INTEGER < value < SMALL_INTEGER:
            return value
        if value.bit_length() > MAX_INTEGER_BITS:
            return {"o": ["int", f"an integer of {value.bit_length()} bits"]}
        self.spend(value.bit_length() // 4)
        return {"i": hex(value)}

    def _opaque(self, value: object) -> Tree:
        text = safe_text(repr, value)[:MAX_OPAQUE_CHARS]
        self.spend(len(text))
        return {"o": [safe_text(str, type(value).__name__)[:MAX_OPAQUE_CHARS], text]}


CONTAINER_TAGS: dict[Any, str] = {tuple: "t", set: "s", frozenset: "z"}
DICTIONARIES = (dict, Counter, defaultdict, OrderedDict)
"""Exact types that count as a dictionary: published references return these where tests expect a literal."""


def safe_text(convert: Callable[[Any], str], value: object) -> str:
    """`convert(value)`, or nothing where the object's own method raises or returns nonsense."""
    try:
        text = convert(value)
    except MemoryError:
        raise
    except BaseException:  # noqa: BLE001  the method belongs to the program and may raise anything
        return ""
    return text if type(text) is str else ""


# -------------------------------------------------------------------------------------------- values: the parent's side


def decode_value(tree: Tree, depth: int = 0) -> Value:
    """The value of a tree. Raises `WireError` for a tree that `ValueEncoder` does not write."""
    if isinstance(tree, list):
        return _decode_items(tree, depth)
    if not isinstance(tree, dict):
        return tree
    if len(tree) != 1:
        raise WireError("an object must have exactly one tag")
    ((tag, body),) = tree.items()
    if tag in CONTAINER_TAGS.values() and isinstance(body, list):
        items = _decode_items(body, depth)
        return tuple(items) if tag == "t" else Members(tuple(items), frozen=tag == "z")
    if tag == "d" and isinstance(body, list):
        return Pairs(tuple(_decode_pair(pair, depth) for pair in body))
    if tag == "c" and isinstance(body, list) and len(body) == 2:
        return _decode_complex(body)
    if tag == "o" and isinstance(body, list) and len(body) == 2:
        return _decode_opaque(body)
    if isinstance(body, str):
        return _decode_text(tag, body)
    raise WireError("unknown tag or wrong content")


def _decode_items(items: list[Tree], depth: int) -> list[Value]:
    if depth >= MAX_DEPTH:
        raise WireError("nested too deeply")
    return [decode_value(item, depth + 1) for item in items]


def _decode_pair(pair: Tree, depth: int) -> tuple[Value, Value]:
    if not isinstance(pair, list) or len(pair) != 2:
        raise WireError("a dictionary entry must be a pair")
    key, value = _decode_items(pair, depth)
    return key, value


def _decode_complex(body: list[Tree]) -> complex:
    real, imaginary = decode_value(body[0], MAX_DEPTH), decode_value(body[1], MAX_DEPTH)
    if type(real) is float and type(imaginary) is float:
        return complex(real, imaginary)
    raise WireError("the parts of a complex number must be floats")


def _decode_opaque(body: list[Tree]) -> Opaque:
    name, text = body
    if isinstance(name, str) and isinstance(text, str) and len(name) <= MAX_OPAQUE_CHARS >= len(text):
        return Opaque(name, text)
    raise WireError("an opaque object is a short name and a short text")


def _decode_text(tag: str, body: str) -> Scalar:
    try:
        if tag == "i" and len(body) <= MAX_INTEGER_BITS // 4 + 4:
            return int(body, 16)
        if tag == "f" and body in ("nan", "inf", "-inf"):
            return float(body)
        if tag == "b":
            return bytes.fromhex(body)
    except ValueError:
        pass
    raise WireError("unknown tag or wrong content")


# --------------------------------------------------------------------------------------------------------------- frames


def encode_payload(content: dict[str, Any]) -> bytes:
    """The content of one frame as JSON. Raises `ValueError` for a float that is not finite: it must be tagged."""
    return "".join(_encode_chunks(content, 0)).encode()


def encode_frame(content: dict[str, Tree]) -> bytes:
    """The bytes of one frame."""
    payload = encode_payload(content)
    return HEADER.pack(len(payload)) + payload


def decode_payload(payload: bytes) -> dict[str, Tree]:
    """The content of one frame. Raises `WireError`."""
    try:
        content = DECODER.decode(payload.decode())
    except (ValueError, RecursionError) as error:
        raise WireError("the payload is not JSON") from error
    if not isinstance(content, dict):
        raise WireError("the payload is not an object")
    return content


def _small_integer(text: str) -> int:
    if len(text) > 17:
        raise WireError("a plain integer must be small")
    return int(text)


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise WireError("a plain float must be finite")
    return number


def _no_constant(text: str) -> float:
    raise WireError(f"{text} must be tagged")


DECODER = json.JSONDecoder(parse_int=_small_integer, parse_float=_finite, parse_constant=_no_constant)
"""Made once: that costs as much as decoding a short frame."""


class FrameReader:
    """Cuts a stream of bytes into the contents of frames."""

    def __init__(self, max_frame_bytes: int) -> None:
        self.max_frame_bytes = max_frame_bytes
        self.buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[dict[str, Tree]]:
        """The frames that `data` completes. Raises `WireError` where the stream breaks; the rest is worthless."""
        self.buffer += data
        while len(self.buffer) >= HEADER.size:
            (length,) = HEADER.unpack_from(self.buffer)
            if length > self.max_frame_bytes:
                raise WireError(f"a frame of {length} bytes")
            end = HEADER.size + length
            if len(self.buffer) < end:
                return
            payload = bytes(self.buffer[HEADER.size : end])
            del self.buffer[:end]
            yield decode_payload(payload)
