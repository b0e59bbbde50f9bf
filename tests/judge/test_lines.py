"""Which line is reported for an error: inside every kind of construct, and for the errors that need care of their own."""

import pytest

from linewise.judge import LocalJudge
from linewise.types import AssertTest, CallTest, Limits, Outcome, StdinTest, Task, TestCase, Verdict

QUICK = Limits(cpu_seconds=0.15, total_cpu_seconds=1.0)


def outcome_of(
    judge: LocalJudge, program: str, test: TestCase | None = None, setup: str | None = None, limits: Limits = QUICK
) -> Outcome:
    test = test or CallTest(call="f(3)", expected="1")
    return judge.run(Task(id="t", prompt="", tests=(test,), setup=setup, limits=limits), program).outcomes[0]


@pytest.mark.parametrize(
    ("program", "exception", "line"),
    [
        ("def f(n):\n    x = 1\n    y = [\n        x,\n        x // 0,\n    ]\n    return y", "ZeroDivisionError", 5),
        ("def f(n):\n    return [\n        1 // i\n        for i in range(n)\n    ]", "ZeroDivisionError", 3),
        ("g = lambda n: (\n    n\n    // 0)\ndef f(n):\n    return g(n)", "ZeroDivisionError", 2),
        ("def g(n):\n    yield 1\n    yield 1 // 0\ndef f(n):\n    return sum(\n        g(n))", "ZeroDivisionError", 3),
        (
            "class A:\n    @property\n    def p(self):\n        return self.q\ndef f(n):\n    return A().p",
            "AttributeError",
            4,
        ),
        ("class A:\n    def __init__(self, x):\n        self.x = x\ndef f(n):\n    return A()", "TypeError", 5),
        ("def d(g):\n    def h(n):\n        return g(n)\n    return h\n@d\ndef f(n):\n    return {}[n]", "KeyError", 7),
        ("def f(n):\n    try:\n        return 1 // 0\n    finally:\n        n = 2", "ZeroDivisionError", 3),
        (
            "def f(n):\n    try:\n        1 // 0\n    except ZeroDivisionError:\n        raise ValueError",
            "ValueError",
            5,
        ),
        ("def f(n):\n    try:\n        1 // 0\n    except ZeroDivisionError:\n        raise", "ZeroDivisionError", 3),
        ("def f(n):\n    assert n > 3, (\n        'small')\n    return 1", "AssertionError", 2),
        ("def g(n):\n    assert n > 3\ndef f(n):\n    g(n)\n    return 1", "AssertionError", 2),
        ("import heapq\ndef f(n):\n    heapq.heappop([])", "IndexError", 3),
        ("import statistics\ndef f(n):\n    x = []\n    return statistics.mean(x)", "StatisticsError", 4),
        ("def f(n):\n    return max(range(n), key=lambda i:\n               1 // i)", "ZeroDivisionError", 3),
        ("def f(n):\n    exec('x = 1\\n\\n1 // 0')", "ZeroDivisionError", 2),
        ("def f(n):\n    def g(n):\n        raise StopIteration\n    return list(map(g, [1]))[0]", "IndexError", 4),
        (
            "def f(n):\n    match n:\n        case 1:\n            pass\n        case _:\n            return m",
            "NameError",
            6,
        ),
    ],
    ids=[
        "list",
        "comprehension",
        "lambda",
        "generator",
        "property",
        "constructor",
        "decorated",
        "finally",
        "chained",
        "reraised",
        "assertion",
        "helper",
        "library-c",
        "library",
        "key",
        "exec",
        "stopped",
        "match",
    ],
)
def test_the_line_of_an_error(
    judge: LocalJudge, recording: LocalJudge, program: str, exception: str, line: int
) -> None:
    plain, recorded = outcome_of(judge, program), outcome_of(recording, program)
    assert (plain.verdict, plain.exception, plain.line) == (Verdict.RUNTIME_ERROR, exception, line)
    assert (recorded.verdict, recorded.exception, recorded.line) == (Verdict.RUNTIME_ERROR, exception, line)
    assert recorded.executed_lines is not None
    assert line in recorded.executed_lines


@pytest.mark.parametrize(
    ("program", "line"),
    [
        ("def f(n):\n    n += 1\n    return f(n)", 3),
        ("def g(n):\n    return n + 1\ndef f(n):\n    m = g(n)\n    return f(m)", 5),
        ("def g(n):\n    return h(n) + 1\ndef h(n):\n    return abs(n)\ndef f(n):\n    m = g(n)\n    return f(m)", 7),
        ("class A:\n    def __getattr__(self, name):\n        return self.x\ndef f(n):\n    return A().y", 3),
        ("def f(n):\n    if n < 0:\n        return 0\n    return (\n        f(n + 1) +\n        f(n + 2))", 5),
        (
            "def f(n):\n    x = []\n    x.append(x)\n    import copy, json\n    return json.dumps(x, check_circular=False)",
            5,
        ),
    ],
    ids=["itself", "helper", "helpers", "attribute", "two", "library"],
)
def test_a_recursion_is_blamed_on_the_recursive_call(judge: LocalJudge, program: str, line: int) -> None:
    outcome = outcome_of(judge, program)
    assert (outcome.verdict, outcome.exception, outcome.line) == (Verdict.RUNTIME_ERROR, "RecursionError", line)


def test_a_mutual_recursion_is_blamed_on_one_of_its_calls(judge: LocalJudge) -> None:
    program = "def f(n):\n    n = 1\n    return g(n)\ndef g(n):\n    n = 2\n    return f(n)"
    assert outcome_of(judge, program).line in (3, 6)


@pytest.mark.parametrize(
    ("program", "lines"),
    [
        ("def f(n):\n    x = 1\n    while n:\n        x = x + 1\n    return x", {3, 4}),
        ("def g(n):\n    while n:\n        pass\ndef f(n):\n    for i in range(9):\n        g(1)", {2, 3}),
        (
            "import bisect\ndef f(n):\n    x = list(range(99))\n    while n:\n        bisect.insort_left(\n            x, 5)",
            {5},
        ),
        ("x = 1\nfor i in range(10**9):\n    x = i\ndef f(n):\n    return 1", {2, 3}),
    ],
    ids=["loop", "helper", "library", "load"],
)
def test_the_line_of_a_timeout(patient: LocalJudge, program: str, lines: set[int]) -> None:
    outcome = outcome_of(patient, program)
    assert outcome.verdict is Verdict.TIMEOUT
    assert outcome.line in lines


def test_the_line_at_which_the_limit_of_all_tests_strikes(patient: LocalJudge) -> None:
    # Each call takes .08 s, less than its own limit; the third one meets the limit of all.
    program = "from time import process_time\ndef f(n):\n    end = process_time() + 0.08\n"
    program += "    while process_time() < end:\n        n = 1\n    return n\n"
    limits = Limits(cpu_seconds=0.15, total_cpu_seconds=0.2)
    task = Task(id="t", prompt="", tests=(CallTest(call="f(1)", expected="1"),) * 3, limits=limits)
    report = patient.run(task, program)
    assert [outcome.verdict for outcome in report.outcomes] == [Verdict.PASSED, Verdict.PASSED, Verdict.TIMEOUT]
    assert report.outcomes[2].line in (4, 5)


def test_no_line_where_no_line_of_the_program_took_part(judge: LocalJudge) -> None:
    program = "def f(n):\n    return 1\ndef sleep(n):\n    import time\n    time.sleep(100)"
    for test, verdict in [
        (CallTest(call="f()", expected="1"), Verdict.RUNTIME_ERROR),
        (CallTest(call="g(1)", expected="1"), Verdict.RUNTIME_ERROR),
        (CallTest(call="f(1)", expected="2"), Verdict.FAILED),
        (CallTest(call="sleep(1)", expected="1"), Verdict.TIMEOUT),
        (AssertTest(code="assert f(1) == 2"), Verdict.FAILED),
    ]:
        outcome = outcome_of(judge, program, test, limits=Limits(cpu_seconds=0.1, total_cpu_seconds=0.2))
        assert (outcome.verdict, outcome.line) == (verdict, None)


def test_an_error_inside_a_call_of_the_setup_has_the_programs_line(judge: LocalJudge) -> None:
    program = "def f(n):\n    if n > 5:\n        raise ValueError\n    return 1"
    outcome = outcome_of(judge, program, setup="x = f(\n\n\n7)")
    assert (outcome.exception, outcome.line) == ("ValueError", 3)


def test_lines_of_scripts(patient: LocalJudge) -> None:
    test = StdinTest(input="0\n", expected="1\n")
    divides = "def main():\n    n = int(input())\n    print(\n        1 // n)\nmain()\n"
    outcome = outcome_of(patient, divides, test)
    assert (outcome.verdict, outcome.line) == (Verdict.RUNTIME_ERROR, 4)
    outcome = outcome_of(patient, "n = int(input())\nwhile n == 0:\n    n = 0\n", test)
    assert outcome.verdict is Verdict.TIMEOUT
    assert outcome.line in (2, 3)
    outcome = outcome_of(patient, "n = int(input())\nm = int(input())\n", test)
    assert (outcome.exception, outcome.line) == ("EOFError", 2)
    outcome = outcome_of(patient, "import atexit\ndef g():\n    raise KeyError\natexit.register(g)\nprint(1)\n", test)
    assert outcome.verdict is Verdict.PASSED, "as the interpreter does it: the error goes to stderr"
