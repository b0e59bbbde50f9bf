"""Comparison: exact types, numbers by value, NaN, tolerance, lines of output."""

import math
import time
from typing import Any

import pytest

from linewise.judge.compare import describe, equal, output_difference, parse_literal
from linewise.judge.wire import Members, Opaque, Pairs


@pytest.mark.parametrize(
    ("expected", "actual"),
    [
        (1, 1),
        (1, 1.0),
        (2.5, 2.5),
        (0.0, -0.0),
        (math.nan, math.nan),
        ([math.nan, (math.inf,)], [math.nan, (math.inf,)]),
        (None, None),
        (1 + 2j, 1 + 2j),
        ({1, "a"}, Members(("a", 1))),
        ({(1, 2.0)}, Members(((1.0, 2),))),
        (frozenset({frozenset({1})}), Members((Members((1,), frozen=True),), frozen=True)),
        ({1: [2], "a": {}}, Pairs((("a", Pairs(())), (1, [2])))),
        ({math.nan}, Members((math.nan,))),
    ],
)
def test_equal(expected: Any, actual: Any) -> None:
    assert equal(expected, actual)


@pytest.mark.parametrize(
    ("expected", "actual"),
    [
        (1, "1"),
        ("1", 1),
        (1, True),
        (True, 1),
        (0, False),
        (0, None),
        ("a", b"a"),
        ([1], (1,)),
        ([1, 2], [1]),
        ([1], [1, 2]),
        ([], None),
        (1.0, 1.0 + 1e-15),
        (10**17, float(10**17 + 16)),
        (1, 1 + 0j),
        ({1}, Members((1,), frozen=True)),
        ({1}, Members((True,))),
        ({1, 2}, Members((1, 1))),
        ({1, 2}, Members((1, 2, 3))),
        ({1}, [1]),
        (frozenset({frozenset({1})}), Members((Members((2,), frozen=True),), frozen=True)),
        ({1: 2}, Pairs(((1, 3),))),
        ({1: 2}, Pairs(((True, 2),))),
        ({1: 2, 3: 4}, Pairs(((1, 2), (1, 2)))),
        ({}, Members(())),
        (5, Opaque("int", "5")),
        ("x", Opaque("str", "x")),
    ],
)
def test_not_equal(expected: Any, actual: Any) -> None:
    assert not equal(expected, actual)


def test_tolerance_holds_at_any_depth_and_only_for_floats() -> None:
    assert equal([1.0, {"a": 2.0}], [1.0 + 1e-7, Pairs((("a", 2.0 - 1e-7),))], 1e-6)
    assert not equal([1.0], [1.0 + 1e-5], 1e-6)
    assert equal(0.0, 1e-7, 1e-6)
    assert equal(1000.0, 1000.0005, 1e-6)
    assert not equal(10**9, 10**9 + 1, 1e-6)
    assert equal({1.0, 2.0}, Members((2.0000001, 1.0)), 1e-6)
    assert not equal({1.0, 2.0}, Members((2.0000001, 2.0)), 1e-6)
    assert equal({1.5: "a"}, Pairs(((1.5000001, "a"),)), 1e-6)
    assert equal(1j, 1.0000001j, 1e-6)
    assert not equal(10**400, 1.0, 1e-6)


def test_members_that_collide_cost_no_time() -> None:
    modulus = (1 << 61) - 1
    hostile = Members(tuple(index * modulus for index in range(20_000)))
    started = time.process_time()
    assert not equal(set(range(20_000)), hostile)
    assert time.process_time() - started < 1.0


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("5", 5),
        (" [1, (2,), {3: 'a'}] ", [1, (2,), {3: "a"}]),
        ("-inf", -math.inf),
        ("float('inf')", math.inf),
        ("1 + 2j", 1 + 2j),
        ("set()", set()),
        ("frozenset({1})", frozenset({1})),
        ("[frozenset()]", [frozenset()]),
    ],
)
def test_literals(text: str, value: object) -> None:
    assert parse_literal(text) == value


@pytest.mark.parametrize("text", ["f(1)", "x", "1 +", "", "[i for i in 'a']", "open('x')", "(" * 500, "float(1)"])
def test_other_expressions_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"literal|malformed"):
        parse_literal(text)


def test_nan_is_a_literal() -> None:
    assert math.isnan(parse_literal("float('nan')"))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("expected", "actual", "difference"),
    [
        ("1\n2\n", "1\n2", None),
        ("1\n2", "1  \r\n2\t\n\n \n", None),
        ("", "\n", None),
        ("1\n2\n3", "1", "1 lines of output where 3 are expected"),
        ("1", "1\n2", "2 lines of output where 1 are expected"),
        ("1\n2", "1\n3", "line 2 of the output differs"),
        ("1 2", "2 1", "line 1 of the output differs"),
        ("a", " a", "line 1 of the output differs"),
        ("a\n\nb", "a\nb", "line 2 of the output differs"),
    ],
)
def test_output_is_compared_line_by_line(expected: str, actual: str, difference: str | None) -> None:
    assert output_difference(expected, actual) == difference


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ([1, (2,), "a"], "[1, (2,), 'a']"),
        (Members((1, 2)), "{1, 2}"),
        (Members((), frozen=True), "frozenset()"),
        (Pairs(((1, [2]), ("a", None))), "{1: [2], 'a': None}"),
        (Opaque("Foo", ""), "<Foo>"),
        ([0] * 1000, "[0, 0, 0,..."),
        ("x" * 1000, "'xxxxxxxx..."),
    ],
)
def test_values_are_described_as_python_prints_them(value: Any, text: str) -> None:
    assert describe(value, 12 if "..." in text else 100) == text


def test_a_huge_value_is_described_in_little_time() -> None:
    started = time.process_time()
    assert len(describe([1 << 200_000] * 10_000)) == 200
    assert time.process_time() - started < 0.5
