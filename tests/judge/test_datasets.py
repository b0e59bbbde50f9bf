"""Known programs with known verdicts: QuixBugs (right and wrong ones) and MBPP references."""

import ast
import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from linewise.judge import LocalJudge
from linewise.tasks import load_tasks
from linewise.types import AssertTest, CallTest, Limits, Report, Task, TestCase, Trust, Verdict

DATA = Path(os.environ.get("LINEWISE_DATA", Path(__file__).parents[2] / "../shared/data"))
PLAIN = """
def plain(value):
    if isinstance(value, (str, int, float, bool, type(None), dict)):
        return value
    return [plain(item) for item in value]
"""
PATIENT = Limits(cpu_seconds=10, total_cpu_seconds=20)
"""For right programs, which end by themselves: on a slow machine some of them take ten times as long as on a fast one."""

pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason=f"no data in {DATA}; set LINEWISE_DATA to the folder")


def quixbugs() -> list[tuple[Task, str, str]]:
    """Each algorithm that has JSON test cases: its task, the buggy and the fixed program."""
    rows = []
    for line in (DATA / "quixbugs/quixbugs.jsonl").read_text().splitlines():
        row = json.loads(line)
        cases = DATA / "quixbugs/json_testcases" / f"{row['id']}.json"
        if cases.is_file():
            tests = []
            for case in filter(str.strip, cases.read_text().splitlines()):
                arguments, expected = json.loads(case)
                arguments = arguments if isinstance(arguments, list) else [arguments]
                text = ", ".join(map(repr, arguments))
                tests.append(CallTest(call=f"plain({row['id']}({text}))", expected=repr(expected), tolerance=1e-4))
            # This one takes most of the short limit when it is right; when it is wrong it ends as well.
            slow = row["id"] == "longest_common_subsequence"
            limits = PATIENT if slow else Limits(cpu_seconds=0.4, total_cpu_seconds=0.8)
            # The right programs take more than a second for the other tests of these two.
            del tests[{"knapsack": 8, "levenshtein": 2}.get(row["id"], len(tests)) :]
            task = Task(id=row["id"], prompt="", tests=tuple(tests), setup=PLAIN, limits=limits)
            rows.append((task, row["buggy"], row["fixed"]))
    return rows


def test_quixbugs() -> None:
    rows = quixbugs()
    assert len(rows) == 31
    with LocalJudge() as judge:
        fixed = list(judge.run_many((replace(task, limits=PATIENT), right) for task, _, right in rows))
        buggy = list(judge.run_many((task, wrong) for task, wrong, _ in rows))
    assert [row[0].id for row, report in zip(rows, fixed, strict=True) if not _passed(report)] == []
    assert [row[0].id for row, report in zip(rows, buggy, strict=True) if _passed(report)] == []


def test_failing_tests_of_quixbugs_execute_the_faulty_line_and_ochiai_ranks_it_first_in_a_third() -> None:
    faulty = {}
    for line in (DATA / "quixbugs/quixbugs.jsonl").read_text().splitlines():
        row = json.loads(line)
        faulty[row["id"]] = set(row["faulty_lines"])
    rows = quixbugs()
    first, chance = 0.0, 0.0
    with LocalJudge(record_lines=True) as judge:
        fixed = list(judge.run_many((replace(task, limits=PATIENT), right) for task, _, right in rows))
        buggy = list(judge.run_many((task, wrong) for task, wrong, _ in rows))
    assert [row[0].id for row, report in zip(rows, fixed, strict=True) if not _passed(report)] == []
    for (task, _, _), report in zip(rows, buggy, strict=True):
        assert isinstance(report, Report)
        failing = [outcome.executed_lines or set() for outcome in report.outcomes if outcome.verdict != "passed"]
        executed = set().union(*failing)
        assert executed & faulty[task.id], task.id
        scores = report.suspiciousness or {}
        best = {line for line, score in scores.items() if score == max(scores.values())}
        first += len(best & faulty[task.id]) / len(best)
        chance += len(executed & faulty[task.id]) / len(executed)
    # Measured: .37 and .17 (experiments/line-feedback); ties are shared.
    assert first / len(rows) > 0.3
    assert first > 1.5 * chance


def mbpp() -> list[tuple[Task, str]]:
    """Every fourth MBPP task; `assert f(x) == literal` becomes a call test."""
    rows = []
    for line in (DATA / "mbpp/mbpp.jsonl").read_text().splitlines()[::4]:
        row = json.loads(line)
        tests = tuple(_mbpp_test(text) for text in row["test_list"])
        task = Task(id=str(row["task_id"]), prompt="", tests=tests, setup=row["test_setup_code"])
        rows.append((task, row["code"]))
    return rows


def _mbpp_test(text: str) -> TestCase:
    (statement,) = ast.parse(text.strip()).body
    test = statement.test if isinstance(statement, ast.Assert) else None
    if isinstance(test, ast.Compare) and isinstance(test.ops[0], ast.Eq):
        try:
            ast.literal_eval(test.comparators[0])
            return CallTest(call=ast.unparse(test.left), expected=ast.unparse(test.comparators[0]))
        except ValueError:
            pass
    return AssertTest(code=text)


def test_mbpp_references() -> None:
    rows = mbpp()
    with LocalJudge() as judge:
        reports = list(judge.run_many(rows))
    assert [task.id for (task, _), report in zip(rows, reports, strict=True) if not _passed(report)] == []
    trusts = [report.trust for report in reports if isinstance(report, Report)]
    assert trusts.count(Trust.VALUES) > 0.98 * len(trusts)


def test_published_assertions_run_apart_from_the_program() -> None:
    """Every eighth MBPP task with its assertions as they are, and the two whose set-up code uses the program's class."""
    lines = (DATA / "mbpp/mbpp.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in [*lines[::8], lines[366], lines[926]]]
    tasks = [
        Task(
            id=str(row["task_id"]),
            prompt="",
            tests=tuple(AssertTest(code=code) for code in row["test_list"]),
            entry_point=ast.unparse(ast.parse(row["test_list"][0])).partition("(")[0].removeprefix("assert "),
            setup=row["test_setup_code"],
            limits=Limits(cpu_seconds=10, total_cpu_seconds=20),
        )
        for row in rows
    ]
    with LocalJudge() as judge:
        right = list(judge.run_many((task, row["code"]) for task, row in zip(tasks, rows, strict=True)))
        wrong = list(
            judge.run_many((task, f"{row['code']}\n{liar(task)}") for task, row in zip(tasks, rows, strict=True))
        )
    assert [task.id for task, report in zip(tasks, right, strict=True) if not _passed(report)] == []
    assert {report.trust for report in right if isinstance(report, Report)} == {Trust.SPLIT}
    assert [task.id for task, report in zip(tasks, wrong, strict=True) if _passed(report)] == []


def liar(task: Task) -> str:
    """A function under test that returns an object which equals everything."""
    return (
        "class Liar:\n    __eq__ = __lt__ = __gt__ = lambda *_: True\n    __sub__ = __abs__ = lambda self, *_: self\n"
        f"    __hash__ = lambda _: 0\ndef {task.entry_point}(*_, **__): return Liar()"
    )


def _passed(report: object) -> bool:
    assert isinstance(report, Report), report
    return report.passed


def test_a_program_cannot_rewrite_the_helpers_that_its_tests_use(judge: LocalJudge) -> None:
    """HumanEval 38 builds its inputs with a function of the prompt; the identity would undo the identity."""
    task = next(
        task for task in load_tasks(f"humaneval:{DATA}/humaneval/HumanEval.jsonl.gz") if task.id == "HumanEval/38"
    )
    identity = "def encode_cyclic(s):\n    return s\ndef decode_cyclic(s):\n    return s\n"
    assert judge.run(task, identity).verdict is Verdict.FAILED
    assert judge.run(task, task.reference or "").passed
