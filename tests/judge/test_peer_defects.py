"""Defects that were found in other graders of programs; none of them may come back here."""

from pathlib import Path
from typing import Any

import pytest

from linewise.judge import LocalJudge
from linewise.types import AssertTest, CallTest, Limits, StdinTest, Task, TestCase, Verdict

LIMITS = Limits(cpu_seconds=1.0, total_cpu_seconds=3.0)


def task_of(*tests: TestCase) -> Task:
    return Task(id="t", prompt="", tests=tests, entry_point="f", limits=LIMITS)


ADD = task_of(CallTest(call="f(2, 3)", expected="5"), CallTest(call="f(40, 2)", expected="42"))

READS_THE_CALLER = """
import sys, gc
def f(a, b):
    frame = sys._getframe()
    while frame is not None:
        for value in [*frame.f_locals.values(), *frame.f_globals.values()]:
            if isinstance(value, dict):
                for name in ("expected", "outputs", "output", "tests"):
                    if name in value:
                        return eval(str(value[name]))
        frame = frame.f_back
    for thing in gc.get_objects():
        if isinstance(thing, dict) and isinstance(thing.get("expected"), str):
            return eval(thing["expected"])
"""


def test_expected_values_are_not_in_the_frames_of_the_caller(judge: LocalJudge) -> None:
    namespace: dict[str, Any] = {}
    exec(READS_THE_CALLER, namespace)
    test = vars(ADD.tests[0])
    assert test["expected"] == "5"
    assert namespace["f"](2, 3) == 5, "what lies open it would find"
    assert judge.run(ADD, READS_THE_CALLER).num_passed == 0


@pytest.mark.parametrize("way", ["os._exit(0)", "sys.exit(0)", "raise SystemExit(0)", "os.kill(os.getpid(), 9)"])
@pytest.mark.parametrize("where", ["import", "call"])
def test_an_early_exit_is_no_pass(judge: LocalJudge, way: str, where: str) -> None:
    source = f"import os, sys\n{way}\ndef f(a, b): return 5\n"
    if where == "call":
        source = f"import os, sys\ndef f(a, b):\n    {way}\n"
    assert judge.run(ADD, source).num_passed == 0
    assert judge.run(task_of(AssertTest(code="assert f(1, 2) == 3")), source).num_passed == 0


def test_an_object_that_equals_everything_passes_nothing(judge: LocalJudge) -> None:
    source = "class Any:\n    def __eq__(self, other): return True\n    def __hash__(self): return 0\n"
    source += "    def __repr__(self): return '5'\ndef f(a, b): return Any()\n"
    assert judge.run(ADD, source).num_passed == 0
    assert judge.run(task_of(AssertTest(code="assert f(2, 3) == 5")), source).num_passed == 0


def test_printing_the_first_of_three_lines_is_not_enough(judge: LocalJudge) -> None:
    task = task_of(StdinTest(input="", expected="1\n2\n3\n"))
    assert judge.run(task, "print(1)").verdict is Verdict.FAILED
    assert judge.run(task, "print(3, 2, 1, sep='\\n')").verdict is Verdict.FAILED
    assert judge.run(task, "print('1 \\n2\\n3\\n')").passed


def test_the_twentieth_of_twenty_tests_counts(judge: LocalJudge) -> None:
    tests = [CallTest(call=f"f({number})", expected=str(number)) for number in range(20)]
    report = judge.run(task_of(*tests), "def f(n): return n if n < 19 else -1")
    assert report.num_passed == 19
    assert report.verdict is Verdict.FAILED


def test_three_hundred_kilobytes_of_output_are_no_timeout(judge: LocalJudge) -> None:
    task = task_of(StdinTest(input="", expected="x" * 300_000 + "\n"))
    report = judge.run(task, "print('x' * 300_000)")
    assert report.passed


def test_a_right_program_needs_no_package(judge: LocalJudge) -> None:
    """Elsewhere every program scored 0 on a machine without numpy."""
    assert judge.run(ADD, "def f(a, b): return a + b").passed


def test_a_serialised_result_runs_no_code_here(judge: LocalJudge, tmp_path: Path) -> None:
    """Elsewhere results were unpickled in the grader."""
    mark = tmp_path / "seen"
    source = f"""
import os
class Bomb:
    def __reduce__(self):
        return (os.system, ("touch {mark}",))
    def __repr__(self):
        return "5"
def f(a, b):
    return Bomb()
"""
    report = judge.run(ADD, source)
    assert report.num_passed == 0
    assert not mark.exists()


def test_an_endless_loop_costs_its_limit_once_for_all_tests(judge: LocalJudge) -> None:
    """Elsewhere one endless loop took 106 seconds."""
    limits = Limits(cpu_seconds=0.2, total_cpu_seconds=0.4)
    tests = tuple(CallTest(call=f"f({number})", expected="0") for number in range(20))
    report = judge.run(Task(id="t", prompt="", tests=tests, limits=limits), "def f(n):\n    while True: pass")
    assert [outcome.verdict for outcome in report.outcomes] == [Verdict.TIMEOUT] * 20
    assert report.cpu_seconds < 1.0
