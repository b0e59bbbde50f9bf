"""Decides in the parent whether what came from a child is what a test expects.

Types are exact: 1 is not "1", True is not 1, a tuple is not a list. An integer and a float are equal where their values
are, because the published tests rely on it (`assert area(4, 3) == 6` with a reference that divides). NaN equals NaN.
"""

import ast
import cmath
import math
from collections.abc import Collection, Hashable
from itertools import repeat
from typing import Any

from linewise.judge.wire import Members, Opaque, Pairs, Value

NUMBERS = (int, float)


class UnkeyedError(Exception):
    """A member without a key that can be looked up, such as a float under a tolerance."""


def equal(expected: Any, actual: Any, tolerance: float | None = None) -> bool:
    """Whether `actual`, decoded from a child, is the literal `expected`.

    Args:
        expected: a value of exact builtin types.
        actual: the `Value` that the program returned.
        tolerance: relative and absolute tolerance of floats at any depth; None means exact.
    """
    kind = type(expected)
    if kind in NUMBERS:
        return type(actual) in NUMBERS and _same_number(expected, actual, tolerance)
    if kind is set or kind is frozenset:
        fits = type(actual) is Members and actual.frozen is (kind is frozenset)
        return fits and _same_members(expected, actual.items, tolerance)
    if kind is dict:
        return type(actual) is Pairs and _same_pairs(expected, actual.items, tolerance)
    if kind is not type(actual):
        return False
    if kind is list or kind is tuple:
        same_length = len(expected) == len(actual)
        return same_length and all(map(equal, expected, actual, repeat(tolerance)))
    if kind is complex:
        return _same_complex(expected, actual, tolerance)
    return bool(expected == actual)


def _same_number(expected: float, actual: float, tolerance: float | None) -> bool:
    if expected != expected or actual != actual:
        return expected != expected and actual != actual
    if expected == actual:
        return True
    if tolerance is None or (type(expected) is int and type(actual) is int):
        return False
    try:
        return math.isclose(expected, actual, rel_tol=tolerance, abs_tol=tolerance)
    except OverflowError:  # an integer beyond every float
        return False


def _same_complex(expected: complex, actual: complex, tolerance: float | None) -> bool:
    if tolerance is not None and cmath.isclose(expected, actual, rel_tol=tolerance, abs_tol=tolerance):
        return True
    return _same_number(expected.real, actual.real, None) and _same_number(expected.imag, actual.imag, None)


def _same_members(expected: Collection[object], actual: tuple[Value, ...], tolerance: float | None) -> bool:
    if len(expected) != len(actual):
        return False
    try:
        # Only the expected members are put into a table: the program may have chosen its own to collide.
        remaining = {_key(item, tolerance) for item in expected}
        for item in actual:
            key = _key(item, tolerance)
            if key not in remaining:
                return False
            remaining.discard(key)
    except UnkeyedError:
        return _matched([(item, None) for item in expected], tuple((item, None) for item in actual), tolerance)
    return True


def _same_pairs(
    expected: dict[object, object], actual: tuple[tuple[Value, Value], ...], tolerance: float | None
) -> bool:
    if len(expected) != len(actual):
        return False
    try:
        remaining = {_key(key, tolerance): value for key, value in expected.items()}
        for key, value in actual:
            found = _key(key, tolerance)
            if found not in remaining or not equal(remaining.pop(found), value, tolerance):
                return False
    except UnkeyedError:
        return _matched(list(expected.items()), actual, tolerance)
    return True


def _matched(
    expected: list[tuple[object, object]], actual: tuple[tuple[Value, Value], ...], tolerance: float | None
) -> bool:
    """Match every pair with a pair not yet taken, in quadratic time; both have the same number."""
    for key, value in actual:
        for index, (wanted_key, wanted_value) in enumerate(expected):
            if equal(wanted_key, key, tolerance) and equal(wanted_value, value, tolerance):
                del expected[index]
                break
        else:
            return False
    return True


def _key(item: Any, tolerance: float | None) -> Hashable:
    """Equal items have equal keys and unequal items have different ones."""
    kind = type(item)
    if kind in NUMBERS:
        if tolerance is not None and kind is float:
            raise UnkeyedError
        return ("number", item if item == item else None)
    if kind is tuple:
        return ("tuple", *(_key(part, tolerance) for part in item))
    if item is None or kind in (bool, str, bytes):
        return (kind.__name__, item)
    raise UnkeyedError


# ------------------------------------------------------------------------------------------------------ standard output


def output_difference(expected: str, actual: str) -> str | None:
    """Where two outputs differ, in words; None where they agree.

    Lines are compared in order. White space at the end of a line and empty lines at the end are ignored.
    """
    wanted, found = lines_of(expected), lines_of(actual)
    for number, (want, got) in enumerate(zip(wanted, found, strict=False), start=1):
        if want != got:
            return f"line {number} of the output differs"
    if len(wanted) != len(found):
        return f"{len(found)} lines of output where {len(wanted)} are expected"
    return None


def lines_of(text: str) -> list[str]:
    """The lines of an output, without white space at their ends and empty lines at the end."""
    return [line.rstrip() for line in text.rstrip().split("\n")]


# ------------------------------------------------------------------------------------------------------ expected values


def parse_literal(text: str) -> object:
    """The value of a Python literal; `nan`, `inf`, `float("nan")` and `frozenset(...)` are literals as well.

    Raises `ValueError` for any other expression.
    """
    try:
        tree = _LiteralNames().visit(ast.parse(text.strip(), mode="eval"))
        value: object = ast.literal_eval(tree)
    except (SyntaxError, TypeError, RecursionError, MemoryError) as error:
        raise ValueError(f"not a Python literal: {error}") from error
    return value


class _LiteralNames(ast.NodeTransformer):
    """Replaces what `repr` writes for values that have no literal."""

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return ast.Constant(float(node.id)) if node.id in ("nan", "inf") else node

    def visit_Call(self, node: ast.Call) -> ast.expr:
        if not isinstance(node.func, ast.Name) or len(node.args) > 1 or node.keywords:
            return node
        arguments = [ast.literal_eval(self.visit(argument)) for argument in node.args]
        if node.func.id == "frozenset":
            return ast.Constant(frozenset(*arguments))  # type: ignore[arg-type]
        if node.func.id == "float" and all(isinstance(argument, str) for argument in arguments):
            return ast.Constant(float(*arguments))
        return node


# ----------------------------------------------------------------------------------------------------------- for people


def describe(value: Value, max_chars: int = 200) -> str:
    """What Python would print for `value`, cut at `max_chars`; takes time in proportion to `max_chars`."""
    pieces: list[str] = []
    _describe(value, pieces, max_chars)
    text = "".join(pieces)
    return text if len(text) <= max_chars else text[: max_chars - 3] + "..."


def _describe(value: Value, pieces: list[str], room: int) -> int:
    """Append the text of `value` to `pieces` until `room` is used up; returns the room that is left."""
    if isinstance(value, list):
        return _describe_items("[", value, "]", pieces, room)
    if isinstance(value, tuple):
        return _describe_items("(", value, ",)" if len(value) == 1 else ")", pieces, room)
    if isinstance(value, Members):
        start, end = ("frozenset({", "})") if value.frozen else ("{", "}")
        if not value.items:
            return _append("frozenset()" if value.frozen else "set()", pieces, room)
        return _describe_items(start, value.items, end, pieces, room)
    if isinstance(value, Pairs):
        room = _append("{", pieces, room)
        for number, (key, item) in enumerate(value.items):
            if room < 0:
                break
            room = _append(", ", pieces, room) if number else room
            room = _append(": ", pieces, _describe(key, pieces, room))
            room = _describe(item, pieces, room)
        return _append("}", pieces, room)
    if isinstance(value, Opaque):
        return _append(value.text or f"<{value.type_name}>", pieces, room)
    if isinstance(value, str | bytes):
        return _append(repr(value[: max(room, 0) + 4]), pieces, room)
    if isinstance(value, int) and value.bit_length() > 1000:
        return _append(hex(value), pieces, room)  # decimal digits take quadratic time
    return _append(repr(value), pieces, room)


def _describe_items(start: str, items: list[Value] | tuple[Value, ...], end: str, pieces: list[str], room: int) -> int:
    room = _append(start, pieces, room)
    for number, item in enumerate(items):
        if room < 0:
            break
        room = _append(", ", pieces, room) if number else room
        room = _describe(item, pieces, room)
    return _append(end, pieces, room)


def _append(text: str, pieces: list[str], room: int) -> int:
    pieces.append(text)
    return room - len(text)
