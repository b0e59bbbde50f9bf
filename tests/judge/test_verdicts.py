"""Each verdict, with its exception and line, for honest programs."""

import os
import time
from pathlib import Path

import pytest

from linewise.errors import TaskError
from linewise.judge import LocalJudge
from linewise.judge.process import Clock, starved_seconds
from linewise.judge.transcript import Stop
from linewise.types import AssertTest, CallTest, Limits, Report, StdinTest, Task, TestCase, Trust, Verdict

QUICK = Limits(cpu_seconds=0.15, total_cpu_seconds=1.0, memory_mb=256, output_bytes=1 << 16)
PASSED, FAILED, RUNTIME_ERROR, TIMEOUT = Verdict.PASSED, Verdict.FAILED, Verdict.RUNTIME_ERROR, Verdict.TIMEOUT
CRASHED, MEMORY, OUTPUT_LIMIT, SYNTAX_ERROR = (
    Verdict.CRASHED,
    Verdict.MEMORY,
    Verdict.OUTPUT_LIMIT,
    Verdict.SYNTAX_ERROR,
)


def call(text: str, expected: str, tolerance: float | None = None) -> CallTest:
    return CallTest(call=text, expected=expected, tolerance=tolerance)


def task_of(*tests: TestCase, setup: str | None = None, limits: Limits = QUICK) -> Task:
    return Task(id="t", prompt="", tests=tests, setup=setup, limits=limits)


def verdicts(report: Report) -> list[Verdict]:
    return [outcome.verdict for outcome in report.outcomes]


F = task_of(call("f(1)", "2"), call("f(2)", "3"), call("f(3)", "4"))


def test_a_right_program_passes_and_the_report_says_what_it_used(judge: LocalJudge) -> None:
    report = judge.run(F, "def f(n):\n    return n + 1\n")
    assert report.passed
    assert report.trust is Trust.VALUES
    assert [outcome.actual for outcome in report.outcomes] == ["2", "3", "4"]
    assert 0 < report.cpu_seconds < 0.5
    assert report.wall_seconds > 0
    assert 1 < report.peak_memory_mb < 200


def test_all_tests_run_after_a_failure(judge: LocalJudge) -> None:
    report = judge.run(F, "def f(n):\n    if n == 2:\n        raise KeyError(n)\n    return 4")
    assert verdicts(report) == [FAILED, RUNTIME_ERROR, PASSED]
    assert report.outcomes[1].exception == "KeyError"
    assert report.outcomes[1].line == 3
    assert report.outcomes[1].message == "2"


def test_the_line_is_that_of_the_deepest_frame_inside_the_program(judge: LocalJudge) -> None:
    program = "import json\n\ndef g(n):\n    return json.loads('{')\n\ndef f(n):\n    return g(n)"
    outcome = judge.run(F, program).outcomes[0]
    assert (outcome.exception, outcome.line) == ("JSONDecodeError", 4)


@pytest.mark.parametrize(
    ("program", "exception", "line"),
    [
        ("def f(n)\n    return n", "SyntaxError", 1),
        ("def f(n):\nreturn n", "IndentationError", 2),
        ("def f(n):\n\tif n:\n        return n", "TabError", 3),
        ("x = 1\ny = '\0'", "SyntaxError", 2),
        ("x = '\ud800'", "SyntaxError", None),
        ("(" * 5000, "SyntaxError", 1),
        ("x = " + "-" * 500_000 + "1", "SyntaxError", None),
        ("def f(n):\n    return (n", "SyntaxError", 2),
        ("def f(n):\r\n    return n +\r\n", "SyntaxError", 2),
        ("return 5", "SyntaxError", 1),
    ],
    ids=["colon", "indent", "tab", "null", "surrogate", "nested", "deep", "open", "crlf", "return"],
)
def test_a_syntax_error_stands_in_every_outcome(
    judge: LocalJudge, program: str, exception: str, line: int | None
) -> None:
    report = judge.run(F, program)
    assert verdicts(report) == [SYNTAX_ERROR] * 3
    assert (report.outcomes[0].exception, report.outcomes[0].line) == (exception, line)


def test_a_syntax_error_in_evaluated_text_is_a_runtime_error(judge: LocalJudge) -> None:
    outcome = judge.run(F, "def f(n):\n    return eval('1 +')").outcomes[0]
    assert (outcome.verdict, outcome.exception, outcome.line) == (RUNTIME_ERROR, "SyntaxError", 2)


def test_an_exception_at_import_stands_in_every_outcome(judge: LocalJudge) -> None:
    report = judge.run(F, "import os\nvalue = 1 / 0\ndef f(n): return n + 1")
    assert verdicts(report) == [RUNTIME_ERROR] * 3
    assert {(outcome.exception, outcome.line) for outcome in report.outcomes} == {("ZeroDivisionError", 2)}


@pytest.mark.parametrize(
    ("body", "exception", "line"),
    [
        ("return f(n)", "RecursionError", 2),
        ("exit()", "SystemExit", 2),
        ("raise SystemExit(0)", "SystemExit", 2),
        ("raise KeyboardInterrupt", "KeyboardInterrupt", 2),
        ("return input()", "EOFError", 2),
        ("assert False", "AssertionError", 2),
        ("return undefined", "NameError", 2),
    ],
)
def test_runtime_errors(judge: LocalJudge, body: str, exception: str, line: int) -> None:
    report = judge.run(F, f"def f(n):\n    {body}")
    assert verdicts(report) == [RUNTIME_ERROR] * 3
    assert (report.outcomes[0].exception, report.outcomes[0].line) == (exception, line)


def test_a_missing_name_is_a_runtime_error_without_a_line(judge: LocalJudge) -> None:
    outcome = judge.run(F, "def g(n): return n").outcomes[0]
    assert (outcome.verdict, outcome.exception, outcome.line) == (RUNTIME_ERROR, "NameError", None)


def test_an_endless_loop_costs_its_limit_and_the_rest_runs(patient: LocalJudge) -> None:
    report = patient.run(F, "def f(n):\n    while n == 2:\n        n = 2\n    return n + 1")
    assert verdicts(report) == [PASSED, TIMEOUT, PASSED]
    assert report.outcomes[1].line in (2, 3)
    assert 0.15 <= report.outcomes[1].cpu_seconds < 1.0


def test_the_total_budget_bounds_what_endless_loops_cost(patient: LocalJudge) -> None:
    task = task_of(*F.tests * 4, limits=Limits(cpu_seconds=0.1, total_cpu_seconds=0.3))
    report = patient.run(task, "def f(n):\n    while True: pass")
    assert verdicts(report) == [TIMEOUT] * 12
    assert 0.3 <= report.cpu_seconds < 1.0, "12 loops of 0.1 s each would have taken 1.2 s"


def test_a_loop_at_import_is_not_repeated_for_each_test(patient: LocalJudge) -> None:
    report = patient.run(F, "x = 1\nwhile x: pass")
    assert verdicts(report) == [TIMEOUT] * 3
    assert report.outcomes[0].line == 2
    assert report.cpu_seconds < 0.4


def test_a_loop_inside_the_interpreter_is_ended_too(judge: LocalJudge) -> None:
    report = judge.run(F, "def f(n):\n    return sum(range(10**12))")
    assert verdicts(report) == [TIMEOUT] * 3


def test_sleeping_strikes_the_wall_limit(judge: LocalJudge) -> None:
    task = task_of(call("f(1)", "2"), limits=Limits(cpu_seconds=0.1, total_cpu_seconds=0.2))
    report = judge.run(task, "import time\ndef f(n):\n    time.sleep(1000)")
    assert verdicts(report) == [TIMEOUT]
    assert report.outcomes[0].message == "wall time limit"
    assert 1.0 <= report.wall_seconds < 30.0


@pytest.mark.parametrize(
    ("starved", "stop"),
    [(0.0, Stop.WALL), (0.4, Stop.WALL), (0.6, None), (1e9, None)],
    ids=["asleep", "hardly", "starved", "nonsense"],
)
def test_waiting_for_a_core_does_not_strike_the_wall_limit(
    monkeypatch: pytest.MonkeyPatch, starved: float, stop: Stop | None
) -> None:
    """A step may take 0.5 s x 4 of wall time; 2.5 s have passed, in which the process used 0.1 s of CPU time."""
    monkeypatch.setattr("linewise.judge.process.starved_seconds", lambda _pid: starved)
    clock = Clock(0.5, 10.0, 4.0, time.monotonic() - 2.5)
    assert clock.stop(0.1, 0, [1]) is stop
    assert clock.stop(0.6, 0, [1]) is Stop.CPU


def test_a_process_knows_how_long_it_waited_for_a_core() -> None:
    """The second number of its schedstat, in nanoseconds; where the kernel keeps none, nobody says."""
    assert starved_seconds(None) == starved_seconds(1 << 30) == 0.0
    own = Path(f"/proc/{os.getpid()}/schedstat")
    if not own.exists():
        pytest.skip("this kernel keeps no schedstat")
    before = int(own.read_text().split()[1])
    found = starved_seconds(os.getpid())
    after = int(own.read_text().split()[1])
    assert before / 1e9 <= found <= after / 1e9


def test_a_memory_bomb(judge: LocalJudge) -> None:
    report = judge.run(F, "def f(n):\n    if n == 1:\n        return len('x' * 10**9)\n    return n + 1")
    assert verdicts(report) == [MEMORY, PASSED, PASSED]
    assert report.outcomes[0].line == 3


def test_memory_that_is_eaten_slowly(judge: LocalJudge) -> None:
    program = "def f(n):\n    kept = []\n    while True:\n        kept.append(' ' * 1_000_000)"
    task = task_of(call("f(1)", "2"), limits=Limits(cpu_seconds=2.0, memory_mb=64))
    assert verdicts(judge.run(task, program)) == [MEMORY]


def test_deep_recursion_with_a_raised_limit_is_contained(judge: LocalJudge) -> None:
    program = "import sys\nsys.setrecursionlimit(10**9)\ndef f(n):\n    return sorted([n], key=f)"
    assert judge.run(task_of(call("f(1)", "2")), program).verdict in (CRASHED, MEMORY)


def test_a_value_beyond_the_output_limit(judge: LocalJudge) -> None:
    report = judge.run(F, "def f(n):\n    return 'x' * 70_000 if n == 1 else n + 1")
    assert verdicts(report) == [OUTPUT_LIMIT, PASSED, PASSED]


def test_printing_does_not_disturb_call_tests(judge: LocalJudge) -> None:
    report = judge.run(
        F, "import sys\ndef f(n):\n    print('x' * 1_000_000)\n    sys.stderr.write('y')\n    return n + 1"
    )
    assert report.passed


def test_tolerance_comes_from_the_test(judge: LocalJudge) -> None:
    task = task_of(call("f(1)", "0.3"), call("f(1)", "0.3", 1e-9))
    assert verdicts(judge.run(task, "def f(n): return 0.1 + 0.2")) == [FAILED, PASSED]


def test_numbers_and_containers_of_the_library(judge: LocalJudge) -> None:
    program = "from collections import Counter, defaultdict, deque\nfrom fractions import Fraction"
    task = task_of(
        call("Counter('aab')", "{'a': 2, 'b': 1}"),
        call("defaultdict(list)", "{}"),
        call("4 / 2", "2"),
        call("True", "1"),
        call("deque([1])", "[1]"),
        call("Fraction(1, 2)", "0.5"),
    )
    assert verdicts(judge.run(task, program)) == [PASSED, PASSED, PASSED, FAILED, FAILED, FAILED]


def test_state_is_kept_from_call_to_call(judge: LocalJudge) -> None:
    task = task_of(call("f()", "1"), call("f()", "2"))
    assert judge.run(task, "n = 0\ndef f():\n    global n\n    n += 1\n    return n").passed


def test_setup_runs_after_the_program(judge: LocalJudge) -> None:
    task = task_of(call("depth(tree)", "2"), setup="tree = Node(Node(None))")
    program = "class Node:\n    def __init__(self, child): self.child = child\n"
    program += "def depth(node):\n    return 0 if node is None else 1 + depth(node.child)"
    assert judge.run(task, program).passed
    report = judge.run(task, "def depth(node): return 2")
    assert [(outcome.verdict, outcome.exception, outcome.line) for outcome in report.outcomes] == [
        (RUNTIME_ERROR, "NameError", None)
    ]


def test_dataclasses_and_pickle_find_the_module(judge: LocalJudge) -> None:
    program = (
        "from __future__ import annotations\nimport pickle\nfrom dataclasses import dataclass\n"
        "@dataclass\nclass Point:\n    x: int\ndef f(n): return pickle.loads(pickle.dumps(Point(n))).x + 1"
    )
    assert judge.run(F, program).passed


def test_runs_are_deterministic(judge: LocalJudge) -> None:
    program = "import random, time, os\ndef f(n): return [list({'a', 'b', 'c', 'd'}), random.random(), time.tzname[0]]"
    actual = {outcome.actual for _ in range(3) for outcome in judge.run(task_of(F.tests[0]), program).outcomes}
    assert len(actual) == 1


# ----------------------------------------------------------------------------------------------------------- assertions


def test_assertions(judge: LocalJudge) -> None:
    task = task_of(
        AssertTest(code="assert f(1) == 2"),
        AssertTest(code="assert f(1) == 3, 'wrong'"),
        AssertTest(code="f(0)"),
        AssertTest(code="check(f)"),
        AssertTest(code="for n in (1, 2):\n    assert f(n) == 2"),
        setup="def check(g):\n    assert g(1) == 7",
    )
    report = judge.run(task, "def f(n):\n    assert n, 'zero'\n    return 2")
    assert verdicts(report) == [PASSED, FAILED, RUNTIME_ERROR, FAILED, PASSED]
    assert report.outcomes[1].message == "wrong"
    assert (report.outcomes[2].exception, report.outcomes[2].line) == ("AssertionError", 2)
    assert report.trust is Trust.SPLIT


# -------------------------------------------------------------------------------------------------------------- scripts

ADD = task_of(StdinTest(input="3 4\n", expected="7\n"), StdinTest(input="1 1\n", expected="2\n"))


@pytest.mark.parametrize(
    "program",
    [
        "a, b = map(int, input().split())\nprint(a + b)",
        "import sys\nprint(sum(map(int, sys.stdin.read().split())))\nsys.exit(0)",
        "import sys\nsys.stdout.buffer.write(b'%d' % sum(map(int, sys.stdin.buffer.readline().split())))\nexit(3)",
        "if __name__ == '__main__':\n    print(sum(map(int, open(0).read().split())), '  ')",
        "import atexit\natexit.register(lambda: print(sum(map(int, input().split()))))",
        "import threading\nthreading.Thread(target=lambda: print(sum(map(int, input().split())))).start()",
        "import os\nos.write(1, str(sum(map(int, os.read(0, 99).split()))).encode())",
    ],
)
def test_scripts_in_all_their_manners(judge: LocalJudge, program: str) -> None:
    assert verdicts(judge.run(ADD, program)) == [PASSED, PASSED]


def test_scripts_that_fail(judge: LocalJudge) -> None:
    report = judge.run(ADD, "a, b = map(int, input().split())\nprint(7 // (a - 1))")
    assert verdicts(report) == [FAILED, RUNTIME_ERROR]
    assert report.outcomes[0].actual == "3\n"
    assert report.outcomes[0].message == "line 1 of the output differs"
    assert (report.outcomes[1].exception, report.outcomes[1].line) == ("ZeroDivisionError", 2)


def test_script_verdicts(judge: LocalJudge) -> None:
    assert verdicts(judge.run(ADD, "print(")) == [SYNTAX_ERROR] * 2
    assert verdicts(judge.run(ADD, "while True: pass")) == [TIMEOUT] * 2
    assert verdicts(judge.run(ADD, "while True: print('x' * 1000)")) == [OUTPUT_LIMIT] * 2
    assert verdicts(judge.run(ADD, "print(len('x' * 10**9))")) == [MEMORY] * 2
    assert verdicts(judge.run(ADD, "import os\nos.abort()")) == [CRASHED] * 2
    assert verdicts(judge.run(ADD, "print(7)")) == [PASSED, FAILED]


def test_large_input_and_output_pass_through_the_pipe(judge: LocalJudge) -> None:
    text = "x" * 999 + "\n"
    task = task_of(
        StdinTest(input=text * 1000, expected=text * 1000),
        limits=Limits(cpu_seconds=1.0, output_bytes=1 << 20),
    )
    assert judge.run(task, "import sys\nsys.stdout.write(sys.stdin.read())").passed


def test_all_kinds_in_one_task(judge: LocalJudge) -> None:
    task = task_of(call("f(1)", "2"), ADD.tests[0], AssertTest(code="assert f(2) == 3"), call("f(0)", "1"))
    report = judge.run(task, "def f(n): return n + 1\nif __name__ == '__main__': print(7)")
    assert verdicts(report) == [PASSED] * 4
    assert report.trust is Trust.SPLIT


# --------------------------------------------------------------------------------------------------------- broken tasks


@pytest.mark.parametrize(
    ("task", "words"),
    [
        (task_of(), "no tests"),
        (task_of(call("f(", "1")), r"tests\[0\].call"),
        (task_of(call("f(1)", "g()")), r"tests\[0\].expected .* not a Python literal"),
        (task_of(AssertTest(code="assert")), r"tests\[0\].code"),
        (task_of(call("1", "1"), setup="def"), "setup"),
    ],
)
def test_a_broken_task_is_the_users_error(judge: LocalJudge, task: Task, words: str) -> None:
    with pytest.raises(TaskError, match=f"task 't': .*{words}"):
        judge.run(task, "def f(n): return n")
