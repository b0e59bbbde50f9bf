"""`Report.suspiciousness`, which is Ochiai's coefficient: worked by hand, its bounds, and its extremes."""

from collections.abc import Mapping
from math import sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from linewise.judge import LocalJudge
from linewise.types import CallTest, Outcome, Report, Task, Verdict

VERDICTS = {"P": Verdict.PASSED, "F": Verdict.FAILED, "T": Verdict.TIMEOUT, "E": Verdict.RUNTIME_ERROR}


def report_of(*tests: tuple[str, set[int] | None]) -> Report:
    return Report(
        outcomes=tuple(
            Outcome(verdict=VERDICTS[verdict], executed_lines=None if lines is None else frozenset(lines))
            for verdict, lines in tests
        )
    )


def ochiai(report: Report) -> Mapping[int, float]:
    scores = report.suspiciousness
    assert scores is not None
    return scores


def test_hand_worked() -> None:
    # Two failing tests. Line 1: both and both passing ones. Line 2: passing ones alone. Line 3: both failing ones and
    # one that passes. Line 4: one failing test alone.
    report = report_of(("P", {1, 2}), ("F", {1, 3}), ("P", {1, 2, 3}), ("E", {1, 3, 4}))
    scores = ochiai(report)
    assert scores == {
        1: pytest.approx(2 / sqrt(2 * 4)),
        2: 0.0,
        3: pytest.approx(2 / sqrt(2 * 3)),
        4: pytest.approx(1 / sqrt(2 * 1)),
    }
    assert list(scores) == [1, 2, 3, 4]
    assert max(scores, key=scores.__getitem__) == 3


def test_lines_that_the_same_tests_ran_tie() -> None:
    scores = ochiai(report_of(("P", {1}), ("F", {1, 2, 3}), ("T", {1, 2, 3})))
    assert scores[2] == scores[3] == 1.0
    assert scores[1] == pytest.approx(2 / sqrt(6))


def test_without_a_failing_test_nothing_is_suspicious() -> None:
    assert ochiai(report_of(("P", {1}), ("P", {1, 2}))) == {1: 0.0, 2: 0.0}


def test_without_a_passing_test_the_share_of_failing_tests_decides() -> None:
    scores = ochiai(report_of(("F", {1, 2}), ("F", {1}), ("E", {1}), ("F", {1})))
    assert scores == {1: 1.0, 2: 0.5}


def test_tests_whose_lines_are_unknown_do_not_count() -> None:
    assert ochiai(report_of(("F", {1}), ("T", None), ("P", None))) == {1: 1.0}
    assert ochiai(report_of(("F", None), ("P", {1}))) == {1: 0.0}


def test_lines_that_nobody_recorded_are_none_and_lines_that_nothing_ran_are_empty() -> None:
    assert report_of(("F", None), ("P", None)).suspiciousness is None
    assert ochiai(report_of(("E", set()), ("E", set()))) == {}


@given(st.lists(st.tuples(st.sampled_from("PFTE"), st.sets(st.integers(1, 6))), min_size=1, max_size=8))
def test_scores_lie_between_0_and_1_and_only_failing_tests_raise_them(tests: list[tuple[str, set[int]]]) -> None:
    scores = ochiai(report_of(*tests))
    failing = [lines for verdict, lines in tests if verdict != "P"]
    assert set(scores) == set().union(*(lines for _, lines in tests))
    for line, score in scores.items():
        assert 0 <= score <= 1 + 1e-12
        assert (score > 0) == any(line in lines for lines in failing)
        only_failing = all((line in lines) == (verdict != "P") for verdict, lines in tests)
        assert (score > 1 - 1e-12) == only_failing


def test_the_faulty_branch_stands_out_in_a_judged_program() -> None:
    task = Task(id="t", prompt="", tests=tuple(CallTest(call=f"f({n})", expected=str(abs(n))) for n in (-2, -1, 0, 3)))
    program = "def f(n):\n    if n < 0:\n        return n\n    return n\n"
    with LocalJudge(workers=1, record_lines=True) as judge:
        scores = ochiai(judge.run(task, program))
    assert scores == {2: pytest.approx(sqrt(1 / 2)), 3: 1.0, 4: 0.0}
