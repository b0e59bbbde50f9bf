"""What the process of a program and the process of its tests say to each other. Standard library only.

Requests go to the program as marshal (pickle where an argument needs it): the tests are trusted, so that is safe in this
direction. Replies are tagged JSON, in which four tags are added to those of `wire`, and are decoded by a total decoder:

    any other object                {"h": [number, "o", ""]}; with "f" if callable, with "c" and its name if a class
    an exception class              {"x": [[[number, name, module], ...], name of its nearest builtin base]}
    a mutable argument of the call  {"m": its index among the arguments' mutable parts}
    a value of RICH                 {"p": [type name, parts]}
"""

import os
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction
from types import NoneType
from typing import Any

from linewise.judge.wire import HEADER, WireError

CHUNK = 1 << 16
SCALARS = frozenset({NoneType, bool, int, float, complex, str, bytes})
DICTIONARIES = (dict, Counter, OrderedDict, defaultdict)
SEQUENCES = (list, tuple, set, frozenset, deque)
MUTABLE = frozenset({list, set, deque, bytearray, *DICTIONARIES})
MARSHALLED = frozenset({list, tuple, set, frozenset, dict})
"""Containers that marshal carries as they are."""


class Rich:
    """A standard type whose instances are sent by value: its parts, and how to make one of them again."""

    def __init__(self, parts: Callable[[Any], list[Any] | None], make: Callable[..., Any], *kinds: type) -> None:
        self.parts = parts
        """The parts of an instance; None where it cannot be sent by value."""
        self.make = make
        self.kinds = kinds
        """Exact types of the parts; `make` is called with nothing else."""

    def build(self, parts: Sequence[Any]) -> Any:
        """The value with these parts, which may be anything. Raises `WireError`."""
        if tuple(map(type, parts)) != self.kinds:
            raise WireError("wrong parts of a value")
        try:
            return self.make(*parts)
        except (ValueError, ArithmeticError, TypeError) as error:
            raise WireError("impossible parts of a value") from error


def _moment(value: datetime | time) -> list[Any] | None:
    return None if value.tzinfo is not None or value.fold else [value.isoformat()]


RICH: dict[Any, Rich] = {
    Decimal: Rich(lambda value: [str(value)], Decimal, str),
    Fraction: Rich(lambda value: [value.numerator, value.denominator], Fraction, int, int),
    date: Rich(lambda value: [value.isoformat()], date.fromisoformat, str),
    time: Rich(_moment, time.fromisoformat, str),
    datetime: Rich(_moment, datetime.fromisoformat, str),
    timedelta: Rich(lambda value: [value.days, value.seconds, value.microseconds], timedelta, int, int, int),
    range: Rich(lambda value: [value.start, value.stop, value.step], range, int, int, int),
    bytearray: Rich(lambda value: [bytes(value)], bytearray, bytes),
    deque: Rich(lambda value: None if value.maxlen is not None else [list(value)], deque, list),
    Counter: Rich(lambda value: [dict(value)], Counter, dict),
    OrderedDict: Rich(lambda value: [dict(value)], OrderedDict, dict),
    defaultdict: Rich(lambda value: [dict(value)], lambda items: defaultdict(None, items), dict),
}
"""By exact type; a subclass goes by handle like any other object."""
RICH_BY_NAME = {kind.__name__: rich for kind, rich in RICH.items()}


class Channel:
    """Frames in both directions over one socket. Reading blocks, so the two sides must take turns."""

    def __init__(self, fd: int, max_frame_bytes: int) -> None:
        self.fd = fd
        self.max_frame_bytes = max_frame_bytes
        self.buffer = b""
        """What has been read beyond the last frame."""

    def send(self, payload: bytes) -> None:
        """Write one frame."""
        frame = HEADER.pack(len(payload)) + payload
        while frame:
            frame = frame[os.write(self.fd, frame) :]

    def receive(self) -> bytes | None:
        """The next frame; None at the end of the stream. Raises `WireError` for one that is too large."""
        data = self.buffer
        end = HEADER.size
        while len(data) < end or end == HEADER.size:
            if len(data) >= HEADER.size:
                (length,) = HEADER.unpack_from(data)
                if length > self.max_frame_bytes:
                    raise WireError(f"a frame of {length} bytes")
                end = HEADER.size + length
                if len(data) >= end:
                    break
            more = os.read(self.fd, max(CHUNK, end - len(data)))
            if not more:
                return None
            data += more
        self.buffer = data[end:]
        return data[HEADER.size : end]


def survey(value: Any) -> tuple[list[Any], bool]:
    """The mutable containers inside `value`, each once, and whether marshal carries all of it.

    The order depends only on the shape of `value`, so that two processes number the same parts alike.
    """
    if type(value) is tuple and SCALARS.issuperset(map(type, value)):
        return [], True  # most calls, so it is worth a line
    parts: list[Any] = []
    seen: set[int] = set()
    plain = True
    waiting = [value]
    while waiting:
        item = waiting.pop()
        kind = type(item)
        plain = plain and kind in MARSHALLED
        if id(item) in seen:
            continue
        seen.add(id(item))
        if kind in MUTABLE:
            parts.append(item)
        if kind in SEQUENCES:
            inside = list(item)
        elif kind in DICTIONARIES:
            inside = [*item.keys(), *item.values()]
        else:
            continue
        if not SCALARS.issuperset(map(type, inside)):
            waiting += [part for part in inside if type(part) not in SCALARS]
    return parts, plain


def contents(part: Any) -> list[Any] | bytes:
    """What a mutable container holds, for comparison and for the way back: a dictionary's keys, then its values."""
    if type(part) is bytearray:
        return bytes(part)
    return [*part.keys(), *part.values()] if type(part) in DICTIONARIES else list(part)


def refill(part: Any, inside: Any) -> None:
    """Make a mutable container hold `inside`, which may be anything. Raises `WireError`."""
    if type(inside) is not (bytes if type(part) is bytearray else list):
        raise WireError("wrong contents of an argument")
    try:
        if type(part) in (list, bytearray):
            part[:] = inside
        elif type(part) in DICTIONARIES:
            half = len(inside) // 2
            pairs = list(zip(inside[:half], inside[half:], strict=True))
            part.clear()
            dict.update(part, pairs)
        else:
            part.clear()
            part.extend(inside) if type(part) is deque else part.update(inside)
    except (TypeError, ValueError) as error:
        raise WireError("impossible contents of an argument") from error
