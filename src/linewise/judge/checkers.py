"""Whether a test accepts a result, decided in the parent: several right answers, any order, tolerance, trusted code.

What a program sent is never put into a hash table here, because it may have been chosen to collide: orders are undone
by sorting canonical texts. The one exception is `plain`, for the task's own code, and it takes few entries only.
"""

import copy
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from linewise.errors import TaskError
from linewise.judge.compare import equal, lines_of, output_difference, parse_literal
from linewise.judge.wire import Members, Opaque, Pairs, Value
from linewise.types import CallTest, Checker, StdinTest

CheckFunction = Callable[[str, Any, Any], object]
"""`check(input, expected, actual)` of a task's `checker_code`."""
MAX_HASHED = 10_000
"""Entries of all dictionaries and sets of one value together that the task's code may be given."""
MAX_DIGITS = 4000
WITH_TOLERANCE = (Checker.EXACT, Checker.UNORDERED)
NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?|[+-]?(?:inf|nan)", re.ASCII | re.IGNORECASE)
SEQUENCES = (list, tuple)


class UncomparableError(Exception):
    """A value that no checker accepts, such as one that holds an object."""


@dataclass(frozen=True, kw_only=True)
class Check:
    """What one call or stdin test accepts."""

    test: CallTest | StdinTest
    accepted: tuple[Any, ...]
    """The expected value or output, then the alternatives."""
    function: CheckFunction | None

    def value_difference(self, value: Value) -> str | None:
        """Why the value of a call is not accepted, if there are words for it; None if it is accepted."""
        return self._first_difference(value, self._value_difference)

    def output_difference(self, text: str) -> str | None:
        """Why the output of a script is not accepted; None if it is accepted."""
        return self._first_difference(text, self._output_difference)

    def _first_difference(self, actual: Any, difference: Callable[[Any, Any], str | None]) -> str | None:
        """None if one of the accepted results has none, else the difference from the first."""
        found = [difference(self.accepted[0], actual)]
        for accepted in self.accepted[1:]:
            if found[-1] is None:
                break
            found.append(difference(accepted, actual))
        return None if found[-1] is None else found[0]

    def _value_difference(self, expected: Any, value: Value) -> str | None:
        if self.function is None:
            return None if accepts(self.test.checker, expected, value, self.test.tolerance) else ""
        try:
            return self._ask(copy.deepcopy(expected), plain(value))
        except UncomparableError as error:
            return f"the checker was not asked: {error}"

    def _output_difference(self, expected: str, text: str) -> str | None:
        checker, tolerance = self.test.checker, self.test.tolerance
        if self.function is not None:
            return self._ask(expected, text)
        if checker is Checker.EXACT:
            return (
                output_difference(expected, text) if tolerance is None else _word_difference(expected, text, tolerance)
            )
        by_words = checker is Checker.UNORDERED_DEEP or tolerance is not None
        wanted, found = (_rows(each, tolerance) if by_words else lines_of(each) for each in (expected, text))
        return None if accepts(checker, wanted, found, tolerance) else "the lines of the output differ"

    def _ask(self, expected: Any, actual: Any) -> str | None:
        assert self.function is not None
        given = self.test.call if isinstance(self.test, CallTest) else self.test.input
        try:
            answer = self.function(given, expected, actual)
        except (Exception, SystemExit) as error:  # noqa: BLE001  a program may have chosen what the checker stumbles on
            return f"the checker raised {type(error).__name__}: {error}"[:300]
        if answer is True:
            return None
        return "the checker refused it" if answer is False else "the checker must answer True or False"


def check_of(test: CallTest | StdinTest, function: CheckFunction | None) -> Check:
    """The check of a test; `function` is that of the task's code. Raises TaskError naming the field at fault."""
    checker = test.checker
    if checker is Checker.CODE and function is None:
        raise TaskError("checker is 'code' and the task has no checker_code; give it a function check.")
    if test.tolerance is not None and checker not in WITH_TOLERANCE:
        raise TaskError(f"tolerance is {test.tolerance}, but the checker '{checker}' takes none; leave it out.")
    texts = (test.expected, *test.alternatives)
    accepted = texts if isinstance(test, StdinTest) else tuple(map(_literal, texts))
    return Check(test=test, accepted=accepted, function=function if checker is Checker.CODE else None)


def _literal(text: str) -> Any:
    try:
        return parse_literal(text)
    except ValueError as error:
        raise TaskError(
            f"expected is {text!r}, which is not a Python literal ({error}); "
            "write a literal or turn the test into an assertion."
        ) from error


def load_check(code: str) -> CheckFunction:
    """The function `check` that a task's code defines. Runs the code in this process. Raises TaskError."""
    namespace: dict[str, Any] = {"__name__": "checker"}
    try:
        exec(compile(code, "<checker>", "exec", dont_inherit=True), namespace)
    except (Exception, SystemExit) as error:
        raise TaskError(f"checker_code cannot be loaded ({type(error).__name__}: {error}); mend it.") from error
    check = namespace.get("check")
    if not callable(check):
        raise TaskError("checker_code must define a function check(input, expected, actual).")
    function: CheckFunction = check
    return function


# --------------------------------------------------------------------------------------------------------------- values


def accepts(checker: Checker, expected: Any, actual: Any, tolerance: float | None = None) -> bool:
    """Whether `actual`, decoded from a child, is `expected` for one of the checkers that need no code."""
    if checker is Checker.UNORDERED and type(expected) in SEQUENCES:
        same_shape = type(actual) is type(expected) and len(actual) == len(expected)
        return same_shape and _same_items(expected, actual, tolerance)
    if checker not in (Checker.UNORDERED_DEEP, Checker.SET):
        return equal(expected, actual, tolerance)
    try:
        if checker is Checker.UNORDERED_DEEP:
            return _canonical(expected, deep=True) == _canonical(actual, deep=True)
        wanted, found = _items(expected), _items(actual)
        if wanted is None or found is None:
            return equal(expected, actual)
        return _distinct(wanted) == _distinct(found)
    except UncomparableError:
        return False


def _same_items(expected: Sequence[Any], actual: Sequence[Any], tolerance: float | None) -> bool:
    if tolerance is None:
        try:
            texts = (sorted(_canonical(item, deep=False) for item in items) for items in (expected, actual))
            return next(texts) == next(texts)
        except UncomparableError:
            return False
    if all(type(item) in (int, float) and item == item for item in (*expected, *actual)):
        return equal(sorted(expected), sorted(actual), tolerance)
    remaining = list(expected)
    for item in actual:
        index = next((place for place, wanted in enumerate(remaining) if equal(wanted, item, tolerance)), None)
        if index is None:
            return False
        del remaining[index]
    return True


def _items(value: Any) -> Iterable[Any] | None:
    if isinstance(value, Members):
        return value.items
    return value if type(value) in (list, tuple, set, frozenset) else None


def _distinct(items: Iterable[Any]) -> list[str]:
    texts = sorted(_canonical(item, deep=False) for item in items)
    return [text for place, text in enumerate(texts) if place == 0 or text != texts[place - 1]]


def _canonical(value: Any, *, deep: bool) -> str:
    """Equal values have equal texts and unequal values have different ones; with `deep`, so have lists in any order."""
    kind = type(value)
    if kind is int or (kind is float and value.is_integer()):
        return f"{int(value):x}"
    if kind is float:
        return float.hex(value)
    if kind in (str, bytes, bool, type(None)):
        return repr(value)
    if kind is complex:
        return f"complex({_canonical(value.real, deep=deep)},{_canonical(value.imag, deep=deep)})"
    if isinstance(value, Pairs) or kind is dict:
        pairs = value.items if isinstance(value, Pairs) else value.items()
        texts = (f"{_canonical(key, deep=deep)}:{_canonical(item, deep=deep)}" for key, item in pairs)
        return f"dict({','.join(sorted(texts))})"
    items = _items(value)
    if items is None:
        raise UncomparableError(f"it holds an object of the type {getattr(value, 'type_name', kind.__name__)}")
    parts = [_canonical(item, deep=deep) for item in items]
    if kind not in SEQUENCES or (deep and kind is list):
        parts.sort()
    frozen = value.frozen if isinstance(value, Members) else kind is frozenset
    name = kind.__name__ if kind in SEQUENCES else ("frozenset" if frozen else "set")
    return f"{name}({','.join(parts)})"


def plain(value: Value) -> Any:
    """A value as ordinary Python containers. Raises UncomparableError for objects and for too many hashed entries."""
    left = [MAX_HASHED]

    def convert(part: Value) -> Any:
        if isinstance(part, Opaque):
            raise UncomparableError(f"it holds an object of the type {part.type_name}")
        if isinstance(part, list):
            return [convert(item) for item in part]
        if isinstance(part, tuple):
            return tuple(convert(item) for item in part)
        if not isinstance(part, Members | Pairs):
            return part
        left[0] -= len(part.items)
        if left[0] < 0:
            raise UncomparableError(f"it holds more than {MAX_HASHED} entries of dictionaries and sets")
        if isinstance(part, Pairs):
            return {convert(key): convert(item) for key, item in part.items}
        return frozenset(map(convert, part.items)) if part.frozen else set(map(convert, part.items))

    try:
        return convert(value)
    except TypeError as error:
        raise UncomparableError(f"{error}") from error


# ------------------------------------------------------------------------------------------------------ standard output


def _word_difference(expected: str, actual: str, tolerance: float) -> str | None:
    wanted, found = _rows(expected, tolerance), _rows(actual, tolerance)
    for number, (want, got) in enumerate(zip(wanted, found, strict=False), start=1):
        if not equal(want, got, tolerance):
            return f"line {number} of the output differs"
    if len(wanted) != len(found):
        return f"{len(found)} lines of output where {len(wanted)} are expected"
    return None


def _rows(text: str, tolerance: float | None) -> list[list[Any]]:
    """The words of each line; numbers as such, if there is a tolerance."""
    return [[word if tolerance is None else _number(word) for word in line.split()] for line in lines_of(text)]


def _number(word: str) -> int | float | str:
    if len(word) > MAX_DIGITS or not NUMBER.fullmatch(word):
        return word
    return int(word) if word.lstrip("+-").isdigit() else float(word)
