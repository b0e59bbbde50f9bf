from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from linewise.errors import JudgeError
from linewise.judge import LocalJudge
from linewise.tasks import load_tasks
from linewise.tasks.check import Finding, Probe, check_tasks, judge_findings, probes_of, show_test
from linewise.types import AssertTest, CallTest, Checker, StdinTest, Task

ADD = Task(
    id="add",
    prompt="",
    entry_point="add",
    reference="def add(a, b):\n    return a + b\n",
    tests=(CallTest(call="add(2, 3)", expected="5"), CallTest(call="add(0, 0)", expected="0")),
)


@pytest.fixture(scope="module")
def judge() -> Iterator[LocalJudge]:
    with LocalJudge(workers=1) as judge:
        yield judge


def test_rules_of_comparison_are_shown() -> None:
    call = CallTest(call="f()", expected="1", checker=Checker.SET, alternatives=("2",))
    assert show_test(call) == "f() == 1 (or 2, as a set)"
    script = StdinTest(input="", expected="1", checker=Checker.UNORDERED, tolerance=0.1, alternatives=("2\n",))
    assert show_test(script) == "input '' -> output '1' (or '2\\n', within 0.1, in any order)"


def test_probes() -> None:
    probes = probes_of(ADD)
    assert probes[0] == Probe(name="the reference", source=ADD.reference or "")
    assert probes[1].source == "pass\n"
    assert [probe.source.splitlines()[-1].strip() for probe in probes[2:]] == [
        "return None",
        "return 0",
        "return ''",
        "return []",
        "return True",
        "return False",
        "return [*args, *options.values()][0]",
    ]
    assert len(probes_of(replace(ADD, reference=None))) == len(probes) - 1
    assert [probe.name for probe in probes_of(replace(ADD, entry_point=None))] == ["the reference", "an empty program"]


def test_probes_of_a_method(judge: LocalJudge) -> None:
    tests = (CallTest(call="A().f(x=5)", expected="5"), CallTest(call="A().f(6)", expected="6"))
    (check,) = check_tasks([Task(id="a", prompt="", entry_point="A.f", tests=tests)], judge)
    assert check.stub_fault.startswith("a function that returns its first argument passes")


def test_clean_and_faulty_tasks(judge: LocalJudge) -> None:
    wrong = replace(ADD, id="wrong", reference="def add(a, b):\n    return a - b\n")
    error = replace(ADD, id="error", reference="def add(a, b):\n    x = 1\n    return a / 0\n")
    true = Task(
        id="true", prompt="", entry_point="yes", tests=(CallTest(call="yes(1)", expected="True", example=True),) * 2
    )
    first = Task(id="first", prompt="", entry_point="same", tests=(AssertTest(code="assert same(4) == 4"),))
    silent = Task(id="silent", prompt="", reference="print(end='')", tests=(StdinTest(input="", expected=""),))
    counts: list[int] = []
    checks = {
        check.task.id: check
        for check in check_tasks([ADD, wrong, error, true, first, silent], judge, progress=counts.append)
    }
    assert list(checks) == ["add", "wrong", "error", "true", "first", "silent"]
    assert [check.clean for check in checks.values()] == [True, False, False, False, False, False]
    assert counts == [1] * (3 * 9 + 2 * 8 + 2)

    assert checks["add"].note == ""
    assert checks["wrong"].reference_fault == "the reference is failed by add(2, 3) == 5, got -1"
    assert "ended by an error (ZeroDivisionError in line 3: division by zero) by add(2, 3) == 5" in (
        checks["error"].reference_fault
    )
    assert checks["true"].stub_fault == "a function that returns True passes: all 2 tests expect True"
    assert checks["true"].note == "no reference, no hidden test"
    assert checks["first"].stub_fault == (
        "a function that returns its first argument passes: its only test is assert same(4) == 4"
    )
    assert checks["silent"].stub_fault == "an empty program passes: its only test is input '' -> output ''"
    assert checks["silent"].reference_fault == ""


def test_a_fault_of_the_judge_is_no_verdict() -> None:
    findings = [Finding(probe=probe, report=JudgeError("killed")) for probe in probes_of(ADD)]
    check = judge_findings(ADD, findings)
    assert check.reference_fault == "the judge failed: killed"
    assert check.stub_fault == ""
    assert not check.clean


def test_show_test() -> None:
    assert show_test(CallTest(call="f(1)", expected="0.5", tolerance=1e-6)) == "f(1) == 0.5 (within 1e-06)"
    assert show_test(AssertTest(code="x = 1\nif x:\n    assert f(x)")) == "x = 1; if x:; assert f(x)"


@pytest.mark.parametrize(
    ("spec", "stubs"),
    [
        ("humaneval", set()),
        (
            "odex",
            {"7555335", "1807026", "3933478", "364621#3", "18886596", "10487278#2", "9746522"},
        ),
        ("mbpp@train", {"698", "847", "899"}),
    ],
)
def test_published_references_pass(data: Path, spec: str, stubs: set[str]) -> None:
    """ODEX alone has assertions that cannot run apart from the program, most of them because they use files."""
    assert data.is_dir()
    with LocalJudge(allow_in_process=spec == "odex") as judge:
        checks = check_tasks(load_tasks(spec), judge)
    assert [check.task.id for check in checks if check.reference_fault] == []
    assert {check.task.id.split("/")[1] for check in checks if check.stub_fault} == stubs
