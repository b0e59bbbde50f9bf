"""Assertions in a process apart from the program: what they may do with it, and when they cannot run there."""

import pytest

from linewise.errors import JudgeError
from linewise.judge import LocalJudge
from linewise.types import AssertTest, CallTest, Limits, Report, Task, TestCase, Trust, Verdict

QUICK = Limits(cpu_seconds=0.15, total_cpu_seconds=1.0, memory_mb=256, output_bytes=1 << 16)
PASSED, FAILED, RUNTIME_ERROR, TIMEOUT = Verdict.PASSED, Verdict.FAILED, Verdict.RUNTIME_ERROR, Verdict.TIMEOUT


def task_of(*codes: str, setup: str | None = None, entry_point: str | None = None) -> Task:
    tests = tuple(AssertTest(code=code) for code in codes)
    return Task(id="t", prompt="", tests=tests, setup=setup, entry_point=entry_point, limits=QUICK)


def verdicts(report: Report) -> list[Verdict]:
    return [outcome.verdict for outcome in report.outcomes]


def holds(judge: LocalJudge, program: str, *codes: str, setup: str | None = None) -> None:
    """Check that each assertion passes, apart from the program."""
    report = judge.run(task_of(*codes, setup=setup), program)
    assert [(outcome.verdict, outcome.message) for outcome in report.outcomes] == [(PASSED, "")] * len(codes)
    assert report.trust is Trust.SPLIT


@pytest.mark.parametrize(
    "value",
    [
        "[1, (2.5, None), {'a': {3}}, frozenset({4}), b'x', True, 1j, 10**30, -(2**70), float('inf')]",
        "{1: 'a', (1, 2): [3]}",
        "Decimal('1.50')",
        "Fraction(1, 3)",
        "[date(2020, 2, 29), datetime(2020, 1, 2, 3, 4, 5, 6), time(1, 2), timedelta(1, 2, 3)]",
        "[range(1, 9, 2), bytearray(b'ab'), deque([1, [2]])]",
        "[Counter('aab'), OrderedDict([(2, 1), (1, 2)]), defaultdict(list, {1: [2]})]",
        "[int, dict, Decimal]",
    ],
)
def test_values_arrive_as_they_are_in_both_directions(judge: LocalJudge, value: str) -> None:
    imports = (
        "from collections import Counter, OrderedDict, defaultdict, deque\nfrom fractions import Fraction\n"
        "from decimal import Decimal\nfrom datetime import date, datetime, time, timedelta"
    )
    types = "assert [type(part) for part in made] == [type(part) for part in value] if type(value) is list else True"
    holds(
        judge,
        f"{imports}\nVALUE = {value}\ndef make(): return VALUE\ndef same(value): return value == VALUE",
        f"value, made = {value}, make()\nassert made == value\n{types}",
        f"assert same({value}) is True",
        setup=imports,
    )


def test_arguments_that_the_program_changes_are_changed_in_the_test(judge: LocalJudge) -> None:
    program = """
def sort(values): values.sort()
def put(table, key): table.setdefault(key, []).append(key)
def add(members): members.add(9); members.discard(1)
def nest(matrix): matrix[0].append(matrix[1]); return matrix
def swap(matrix): matrix[0], matrix[1] = matrix[1], matrix[0]
def fail(values): values.pop(); raise KeyError(3)
def fill(data): data[:] = b"xyz"
def retype(values): values[0] = True
"""
    holds(
        judge,
        program,
        "x = [3, 1, 2]\nassert sort(x) is None\nassert x == [1, 2, 3]",
        "x = {'a': [1]}\nput(x, 'b')\nput(x, 'a')\nassert x == {'a': [1, 'a'], 'b': ['b']}",
        "x = {1, 2}\nadd(members=x)\nassert x == {2, 9}",
        "x, y = [1], [2]\nm = [x, y]\nassert nest(m) is m\nassert x == [1, [2]] and x[1] is y",
        "x, y = [1], [2]\nm = [x, y]\nswap(m)\nassert m[0] is y and m[1] is x",
        "x = [1, 2]\ntry:\n    fail(x)\nexcept KeyError as error:\n    assert error.args == (3,)\nassert x == [1]",
        "x = bytearray(b'a')\nfill(x)\nassert x == b'xyz'",
        "x = [1]\nretype(x)\nassert x[0] is True",
    )


def test_objects_of_the_program_behave_as_such(judge: LocalJudge) -> None:
    program = """
from functools import total_ordering
@total_ordering
class Box:
    count = 0
    def __init__(self, *items): self.items = list(items); Box.count += 1
    def __eq__(self, other): return self.items == other.items
    def __lt__(self, other): return self.items < other.items
    def __hash__(self): return hash(tuple(self.items))
    def __add__(self, other): return Box(*self.items, *other.items)
    def __iadd__(self, other): self.items += other.items; return self
    def __len__(self): return len(self.items)
    def __iter__(self): return iter(self.items)
    def __getitem__(self, index): return self.items[index]
    def __setitem__(self, index, item): self.items[index] = item
    def __call__(self, x): return (x, self)
    def __repr__(self): return f"Box{tuple(self.items)}"
    def __bool__(self): return bool(self.items)
    def __enter__(self): return self
    def __exit__(self, *error): self.items.append("closed")
    @classmethod
    def of(cls, text): return cls(*text)
    @property
    def first(self): return self.items[0]
class Small(Box): pass
def same(box): return box
def boxes(): return [Box(1), {"a": Box(2)}]
"""
    holds(
        judge,
        program,
        "box = Box(1, 2)\nassert box.items == [1, 2] and box.first == 1 and box[1] == 2 and len(box) == 2",
        "box = Box(1)\nbox[0] = 5\nassert box.first == 5\nbox.name = 'x'\nassert box.name == 'x'\ndel box.name\n"
        "assert not hasattr(box, 'name')",
        "assert Box(1) == Box(1) and Box(1) != Box(2) and Box(1) < Box(2) and sorted([Box(2), Box(1)])[0] == Box(1)",
        "assert len({Box(1), Box(1), Box(2)}) == 2 and Box(1) in [Box(3), Box(1)] and {Box(1): 4}[Box(1)] == 4",
        "assert list(Box(1, 2)) == [1, 2] and 2 in Box(1, 2) and sum(Box(3, 4)) == 7 and [*Box(5)] == [5]",
        "assert str(Box(1, 2)) == 'Box(1, 2)' == f'{Box(1, 2)}' and not Box()",
        "box = Box(1)\nbox += Box(2)\nassert (box + Box(3)).items == [1, 2, 3]",
        "box = Box()\nassert same(box) is box and box(7) == (7, box)",
        "assert isinstance(Small(), Box) and not isinstance(3, Box) and issubclass(Small, Box) ",
        "assert not isinstance(Box(), Small)",
        "assert Box.of('ab').items == ['a', 'b'] and Box(1).__class__ is Box and Box.__name__ == 'Box'",
        "one, two = boxes()\nassert one == Box(1) and two['a'] == Box(2)",
        "with Box() as box:\n    pass\nassert box.items == ['closed']",
        "import copy\nbox = Box(1)\nassert copy.deepcopy(box) == box and copy.deepcopy(box) is not box",
        "before = Box.count\nBox()\nassert Box.count == before + 1",
    )


def test_an_object_of_the_program_equals_no_plain_value(judge: LocalJudge) -> None:
    program = "class N:\n    def __eq__(self, other): return True\n    def __add__(self, other): return 3"
    report = judge.run(task_of("assert N() == 3", "assert N() + 3 == 3", "assert N() != 3"), program)
    assert verdicts(report) == [FAILED, RUNTIME_ERROR, PASSED]


def test_generators_functions_and_callbacks(judge: LocalJudge) -> None:
    program = """
def count(n): yield from range(n)
def adder(n): return lambda x: x + n
def apply(function, *args, **kwargs): return function(*args, **kwargs)
def total(values): return sum(values)
def twice(function): return lambda x: function(function(x))
def guarded(function):
    try: return function()
    except LookupError as error: return repr(error)
"""
    holds(
        judge,
        program,
        "assert list(count(3)) == [0, 1, 2] and next(count(1)) == 0 and sum(count(4)) == 6",
        "import types\nassert isinstance(count(2), types.GeneratorType)",
        "generator = count(1)\nnext(generator)\ntry:\n    next(generator)\n    assert False\nexcept StopIteration:\n    pass",
        "assert adder(2)(3) == 5 and list(map(adder(1), [1, 2])) == [2, 3] and callable(adder(1))",
        "assert apply(lambda a, b=1: a + b, 2, b=5) == 7 and apply(len, 'abc') == 3 and apply(max, [1, 2]) == 2",
        "assert total(x * x for x in [1, 2]) == 5 and total(iter([1, 2])) == 3 ",
        "d = {1: 2, 3: 4}\n"
        "assert [apply(len, d.keys()), total(d.keys()), total(d.values())] == [2, 4, 6]\n"
        "assert apply(list, d.items()) == [(1, 2), (3, 4)]",
        "seen = []\napply(seen.append, 4)\nassert seen == [4]",
        "assert twice(twice(lambda x: x + 1))(0) == 4 and apply(adder(3), 4) == 7",
        "def fail(): raise KeyError('k')\nassert guarded(fail) == \"KeyError('k')\"",
        "class Odd(Exception): pass\ndef fail(): raise Odd(5)\n"
        "try:\n    apply(fail)\nexcept Odd as error:\n    assert error.args == (5,)",
        "assert apply(lambda: apply(lambda: apply(lambda: 3))) == 3",
    )


def test_exceptions_keep_their_types(judge: LocalJudge) -> None:
    program = """
import json
class Base(ValueError): pass
class Custom(Base):
    def __init__(self, code): super().__init__("text", code); self.code = code
    def __str__(self): return f"code {self.code}"
def custom(): raise Custom(7)
def zero(): return 1 / 0
def parse(): return json.loads("{")
def decode(): return b"\\xff".decode()
def leave(): raise SystemExit(2)
"""
    caught = "try:\n    {}()\n    assert False\nexcept {} as error:\n    assert {}"
    holds(
        judge,
        program,
        caught.format("custom", "Custom", "str(error) == 'code 7' and error.args == ('text', 7) and error.code == 7"),
        caught.format("custom", "Base", "type(error).__name__ == 'Custom'"),
        caught.format("custom", "ValueError", "isinstance(error, Custom)"),
        caught.format("zero", "ArithmeticError", "type(error) is ZeroDivisionError and 'zero' in str(error)"),
        "import json\n" + caught.format("parse", "json.JSONDecodeError", "True"),
        caught.format("decode", "UnicodeDecodeError", "error.start == 0"),
        caught.format("leave", "SystemExit", "error.code == 2"),
        caught.format("parse.missing", "AttributeError", "'missing' in str(error)"),
    )


def test_an_uncaught_exception_is_reported_with_its_line(judge: LocalJudge) -> None:
    program = "class Odd(Exception): pass\ndef f(n):\n    if n: raise Odd('x')\n    assert n, 'zero'"
    report = judge.run(task_of("f(1)", "f(0)", "assert f", "undefined(f)", "assert f(1) or True", "1 / 0"), program)
    found = [(outcome.verdict, outcome.exception, outcome.line, outcome.message) for outcome in report.outcomes]
    assert found == [
        (RUNTIME_ERROR, "Odd", 3, "x"),
        (RUNTIME_ERROR, "AssertionError", 4, "zero"),
        (PASSED, None, None, ""),
        (RUNTIME_ERROR, "NameError", None, "name 'undefined' is not defined"),
        (RUNTIME_ERROR, "Odd", 3, "x"),
        (RUNTIME_ERROR, "ZeroDivisionError", None, "division by zero"),
    ]


def test_an_assertion_of_the_test_inside_a_callback_is_its_own(judge: LocalJudge) -> None:
    task = task_of("def check(x): assert x == 2, 'not two'\napply(check, 1)")
    outcome = judge.run(task, "def apply(function, x): return function(x)").outcomes[0]
    assert (outcome.verdict, outcome.message) == (FAILED, "not two")


def test_a_check_function_with_several_assertions(judge: LocalJudge) -> None:
    check = "def check(candidate):\n    assert candidate(1) == 2\n    for n in range(3):\n"
    check += "        assert candidate(n) == n + 1, n"
    task = task_of("check(f)", setup=check)
    assert judge.run(task, "def f(n): return n + 1").passed
    assert judge.run(task, "def f(n): return 2").outcomes[0].message == "0"


def test_globals_of_the_program_are_read_anew(judge: LocalJudge) -> None:
    program = "calls = 0\nlog = []\ndef f():\n    global calls\n    calls += 1\n    log.append(calls)"
    holds(judge, program, "f()\nassert calls == 1\nf()\nassert calls == 2", "assert calls == 2 and log == [1, 2]")


def test_setup_runs_with_the_tests_and_its_imports_for_both(judge: LocalJudge) -> None:
    setup = "import math\nfrom collections import Counter as Bag\nroot = Node(Node(None))\nLIMIT = math.pi"
    program = "class Node:\n    def __init__(self, child): self.child = child\n"
    program += "def depth(node): return 0 if node is None else 1 + depth(node.child)\ndef up(x): return math.ceil(x)"
    holds(judge, program, "assert depth(root) == 2", "assert up(LIMIT) == 4 and Bag('a') == {'a': 1}", setup=setup)
    task = task_of("pass", "pass", setup="helper(1)")
    report = judge.run(task, "def helper(n):\n    raise KeyError(n)")
    assert {(outcome.verdict, outcome.exception, outcome.line) for outcome in report.outcomes} == {
        (RUNTIME_ERROR, "KeyError", 2)
    }


def test_a_builtin_may_be_the_name_under_test(judge: LocalJudge) -> None:
    task = task_of("assert sum(1, 2) == 3 and max([1, 2]) == 2", entry_point="sum")
    assert judge.run(task, "def sum(a, b): return a + b\ndef max(values): return 0").passed


def test_a_program_that_does_not_load(patient: LocalJudge) -> None:
    task = task_of("assert True", "assert f(1) == 1")
    found = patient.run(task, "def f(n:")
    assert [(o.verdict, o.exception, o.line) for o in found.outcomes] == [(Verdict.SYNTAX_ERROR, "SyntaxError", 1)] * 2
    found = patient.run(task, "x = 1\n1 / 0")
    assert [(o.verdict, o.exception, o.line) for o in found.outcomes] == [(RUNTIME_ERROR, "ZeroDivisionError", 2)] * 2
    found = patient.run(task, "x = 1\nwhile x: pass")
    assert [(o.verdict, o.line) for o in found.outcomes] == [(TIMEOUT, 2)] * 2
    assert found.cpu_seconds < 0.4
    assert verdicts(patient.run(task, "import os\nos._exit(0)")) == [Verdict.CRASHED] * 2


def test_limits_hold_for_both_sides(patient: LocalJudge) -> None:
    tests = "assert f(1) == 2", "assert f(2) == 3", "assert f(3) == 4"
    report = patient.run(task_of(*tests), "def f(n):\n    while n == 2:\n        n = 2\n    return n + 1")
    assert verdicts(report) == [PASSED, TIMEOUT, PASSED]
    assert report.outcomes[1].line in (2, 3)
    assert 0.15 <= report.outcomes[1].cpu_seconds < 1.0
    report = patient.run(task_of("while f(1) == 1: pass", tests[1]), "def f(n): return n + 1 if n == 2 else 1")
    assert verdicts(report) == [TIMEOUT, PASSED]
    report = patient.run(task_of(*tests), "def f(n): return len('x' * 10**9) if n == 1 else n + 1")
    assert verdicts(report) == [Verdict.MEMORY, PASSED, PASSED]
    report = patient.run(task_of(*tests), "def f(n): return 'x' * 70_000 if n == 1 else n + 1")
    assert verdicts(report) == [Verdict.OUTPUT_LIMIT, PASSED, PASSED]
    report = patient.run(
        task_of(*tests), "import os\ndef f(n):\n    if n == 1: os.kill(os.getpid(), 11)\n    return n + 1"
    )
    assert verdicts(report) == [Verdict.CRASHED, PASSED, PASSED]
    assert "Segmentation" in report.outcomes[0].message
    report = patient.run(task_of("assert f(1) == 1"), "def f(n): return f(n)")
    assert (report.outcomes[0].verdict, report.outcomes[0].exception) == (RUNTIME_ERROR, "RecursionError")


def test_calls_and_assertions_are_judged_each_in_its_way(judge: LocalJudge) -> None:
    tests: tuple[TestCase, ...] = (
        CallTest(call="f(1)", expected="2"),
        AssertTest(code="assert f(2) == 3"),
        CallTest(call="f(3)", expected="5"),
    )
    report = judge.run(Task(id="t", prompt="", tests=tests, limits=QUICK), "def f(n): return n + 1")
    assert verdicts(report) == [PASSED, PASSED, FAILED]
    assert report.trust is Trust.SPLIT


@pytest.mark.parametrize(
    ("code", "setup", "words"),
    [
        ("import inspect\nassert inspect.getsource(f)", None, "inspect"),
        ("from unittest import mock\nassert f", None, "unittest"),
        ("import time\ntime.time = lambda: 0\nassert f(1) == 0", None, "time.time = ..."),
        ("open('x', 'w').close()\nassert f('x')", None, "open"),
        ("assert f(Own())", "class Own: pass", "a class of its own"),
        ("assert f(Own)", "class Own: pass", "a class of its own"),
        ("class Sub(Base): pass", None, "derives a class"),
        ("import threading\nf(threading.Lock())", None, "cannot leave its process"),
        ("try:\n    f(Own())\nexcept BaseException: pass", "class Own: pass", "a class of its own"),
    ],
)
def test_assertions_that_need_the_programs_process_are_refused(
    judge: LocalJudge, code: str, setup: str | None, words: str
) -> None:
    program = "def f(x): return x\nclass Base: pass"
    with pytest.raises(JudgeError, match=f"cannot run apart from the program: .*{words}"):
        judge.run(task_of(code, setup=setup), program)


def test_in_process_is_used_where_it_is_allowed_and_needed() -> None:
    with LocalJudge(workers=1, allow_in_process=True) as judge:
        for code in ("class Own: pass\nassert type(f(Own())) is Own", "import inspect\nassert inspect.getsource"):
            report = judge.run(task_of(code), "def f(x): return x")
            assert (verdicts(report), report.trust) == ([PASSED], Trust.IN_PROCESS)
        assert judge.run(task_of("assert f(1) == 1"), "def f(x): return x").trust is Trust.SPLIT


def test_a_task_may_say_that_its_assertions_need_the_programs_process() -> None:
    test = AssertTest(code="assert str(type(f())) == \"<class 'generator'>\"")
    task = Task(id="t", prompt="", tests=(test,), metadata={"trust": "in_process"})
    with LocalJudge(workers=1) as judge, pytest.raises(JudgeError, match="its metadata say so"):
        judge.run(task, "def f(): yield")
    with LocalJudge(workers=1, allow_in_process=True) as judge:
        report = judge.run(task, "def f(): yield")
    assert (verdicts(report), report.trust) == ([PASSED], Trust.IN_PROCESS)
