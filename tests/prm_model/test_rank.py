"""From line scores to a choice of one program, by hand."""

import pytest

from linewise.prm.rank import LineAggregation, code_lines, program_score
from linewise.types import LineScore


def lines(*values: float) -> list[LineScore]:
    return [LineScore(line=line, score=value) for line, value in enumerate(values, start=1)]


@pytest.mark.parametrize(
    ("aggregation", "value"), [(LineAggregation.MEAN, 0.25), (LineAggregation.MIN, -0.5), (LineAggregation.LAST, -0.5)]
)
def test_neutral_lines_do_not_count(aggregation: LineAggregation, value: float) -> None:
    assert program_score(lines(1, 0, -0.5), frozenset({1, 3}), aggregation) == value


def test_comments_move_no_value() -> None:
    for aggregation in LineAggregation:
        plain = program_score(lines(-0.5), frozenset({1}), aggregation)
        padded = program_score(lines(0.9, 0.9, -0.5, 0.9), frozenset({3}), aggregation)
        assert plain == padded == -0.5


def test_a_program_without_code_is_the_worst() -> None:
    assert program_score(lines(0.5), frozenset(), LineAggregation.MEAN) == -1
    assert program_score([], frozenset({1}), LineAggregation.LAST) == -1


@pytest.mark.parametrize(
    ("source", "code"),
    [
        ("x = 1  # why\n\n# so\ny = 2\n", {1, 4}),
        ("def f():\n    return (1,\n\n            2)\n", {1, 2, 4}),
        ("x = '''a\n\nb'''\n", {1, 2, 3}),
        ("x = '# no comment'\n", {1}),
        ("", set()),
    ],
)
def test_lines_of_code(source: str, code: set[int]) -> None:
    assert code_lines(source) == code


def test_a_broken_program_keeps_its_lines() -> None:
    assert {1, 3} <= code_lines("x = 1\n\ny = (2\n")
    assert {1, 2} <= code_lines("x = 1\n  y = 2\n z = 3\n")
