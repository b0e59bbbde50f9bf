"""APPS in its folder form and as rows."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from linewise.errors import TaskError
from linewise.judge import LocalJudge
from linewise.tasks import load_tasks
from linewise.tasks.apps import PRELUDE, SETUP, apps_task, load_apps
from linewise.tasks.check import reference_fault
from linewise.tasks.jsonl import task_from_json, task_to_json
from linewise.types import CallTest, Report, StdinTest, Task

SCRIPT = {"inputs": ["1 2\n", ["3", "4"]], "outputs": ["3\n", ["0.5", "x"]]}
METHOD = {"fn_name": "pairs", "inputs": [[[1, 2], {"3": "x"}]], "outputs": [[[1, 2]]]}


@pytest.fixture(scope="module")
def judge() -> Iterator[LocalJudge]:
    with LocalJudge(workers=1) as judge:
        yield judge


def row(tests: object, **fields: Any) -> dict[str, Any]:
    return {
        "problem_id": 7,
        "question": " Add. \n",
        "solutions": json.dumps(["print 'old'", "return 3", "print(1)"]),
        "input_output": json.dumps(tests),
        "difficulty": "interview",
        "url": "u",
        "starter_code": "",
        **fields,
    }


def task_of(tests: object, **fields: Any) -> Task:
    task = apps_task(row(tests, **fields))
    assert task is not None
    return task


def test_script() -> None:
    assert task_of(SCRIPT) == Task(
        id="apps/7",
        prompt="Add.",
        tests=(
            StdinTest(input="1 2\n", expected="3\n"),
            StdinTest(input="3\n4", expected="0.5\nx", tolerance=1e-5),
        ),
        reference="print(1)\n",
        metadata={"source": "apps", "license": "MIT", "family": "interview", "url": "u"},
    )


def test_method() -> None:
    starter = "class Solution:\n\tdef pairs(self, a: List[int], b: Dict[int, str]) -> List[int]:\n\t\t"
    task = task_of(METHOD, starter_code=starter, solutions='["class Solution: pass"]')
    assert task.entry_point == "Solution.pairs"
    assert task.signature == (
        "from typing import Dict, List\n\n\n"
        "class Solution:\n    def pairs(self, a: List[int], b: Dict[int, str]) -> List[int]:"
    )
    assert task.setup == SETUP
    assert task.reference == f"{PRELUDE}\n\nclass Solution: pass\n"
    call = "listed(Solution().pairs([1, 2], {3: 'x'}))"
    assert task.tests == (CallTest(call=call, expected="[[1, 2]]", alternatives=("[1, 2]",)),)


def test_function_without_starter_code() -> None:
    task = task_of({"fn_name": "f", "inputs": [[1], [2]], "outputs": [0.5, {"a": [1]}]}, solutions="")
    assert (task.entry_point, task.signature, task.reference, task.setup) == ("f", None, None, None)
    assert task.tests == (
        CallTest(call="f(1)", expected="0.5", tolerance=1e-5),
        CallTest(call="f(2)", expected="{'a': [1]}"),
    )


def test_starter_code_that_is_no_open_function() -> None:
    tests = {"fn_name": "f", "inputs": [[1]], "outputs": [1]}
    for starter in ("def f(x):\n    pass", "def f(x:", "class A:\n    def f(self):\n        # here:"):
        assert task_of(tests, starter_code=starter).signature is None


def test_tuples_and_single_values_pass(judge: LocalJudge) -> None:
    task = task_of(METHOD, starter_code="class Solution:\n    def pairs(self, a, b):")
    for value, passed in (("(1, 2)", True), ("[(1, 2)]", True), ("[[1, 2], 3]", False), ("1, 2, 3", False)):
        program = f"class Solution:\n    def pairs(self, a, b):\n        return {value}"
        assert judge.run(task, program).passed is passed, value


def test_problems_that_cannot_be_judged() -> None:
    assert apps_task(row({}) | {"input_output": ""}) is None
    assert apps_task(row({"inputs": [], "outputs": []})) is None
    assert apps_task(row({}) | {"input_output": '{"fn_name": "f", "inputs": [[' + "9" * 5000 + "]]}"}) is None


@pytest.mark.parametrize(
    ("tests", "message"),
    [
        ('{"inputs": ["1"], "outputs": []}', "lists of one length"),
        ('{"fn_name": "f", "inputs": [1], "outputs": [1]}', "must be lists of arguments"),
        ("{", "field 'input_output': no valid JSON"),
    ],
)
def test_faults_name_the_row(tmp_path: Path, tests: str, message: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text("\n" + json.dumps(row({}, input_output=tests)))
    with pytest.raises(TaskError, match=f"a.jsonl, line 2: .*{message}"):
        load_apps(path)


def folder(place: Path, name: str = "0003") -> None:
    (place / name).mkdir(parents=True)
    (place / name / "question.txt").write_text("Add.\r\n")
    (place / name / "input_output.json").write_text(json.dumps(SCRIPT))


def test_folders_and_splits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder(tmp_path / "apps/train", "0001")
    folder(tmp_path / "apps/test", "0002")
    (tmp_path / "apps/test/notes").mkdir()
    monkeypatch.setenv("LINEWISE_DATA", str(tmp_path))
    assert [task.id for task in load_tasks("apps")] == ["apps/0001", "apps/0002"]
    assert [task.id for task in load_tasks("apps@test")] == ["apps/0002"]
    assert [task.metadata["split"] for task in load_tasks(f"apps:{tmp_path}/apps/test")] == ["test"]
    folder(tmp_path / "mine")
    (task,) = load_tasks(f"apps@train:{tmp_path}/mine")
    assert (task.id, task.reference, task.metadata["family"]) == ("apps/0003", None, "")
    (tmp_path / "mine/0003/solutions.json").write_text("[")
    with pytest.raises(TaskError, match="mine/0003: field 'solutions': no valid JSON"):
        load_tasks(f"apps:{tmp_path}/mine")
    (tmp_path / "mine/0003/question.txt").write_bytes(b"\xff")
    with pytest.raises(TaskError, match=r"cannot read .*question\.txt"):
        load_tasks(f"apps:{tmp_path}/mine")
    (tmp_path / "empty").mkdir()
    with pytest.raises(TaskError, match="holds no problem with tests"):
        load_tasks(f"apps:{tmp_path}/empty")
    with pytest.raises(TaskError, match="there is no file"):
        load_tasks(f"apps:{tmp_path}/nowhere")


def test_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    def load_dataset(name: str, config: str, *, split: str, revision: str) -> list[dict[str, Any]]:
        assert (name, config, revision) == ("codeparrot/apps", "all", "refs/convert/parquet")
        return [row(SCRIPT, problem_id={"train": 1, "test": 2}[split]), row(None, input_output="")]

    module = ModuleType("datasets")
    module.load_dataset = load_dataset  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "datasets", module)
    monkeypatch.delenv("LINEWISE_DATA", raising=False)
    assert {task.id: task.metadata["split"] for task in load_apps()} == {"apps/1": "train", "apps/2": "test"}


def test_sample(data: Path, judge: LocalJudge) -> None:
    tasks = load_tasks(f"apps:{data}/apps-sample")
    assert [task.entry_point for task in tasks] == [None, None, None, "Solution.findKthPositive", "is_prime"]
    assert [len(task.tests) for task in tasks] == [1, 1, 3, 1, 8]
    for task in tasks:
        assert task_from_json(task_to_json(task), task.id) == task
        assert judge.run(task, task.reference or "").passed, task.id
        assert not judge.run(task, "pass").passed


def test_every_published_solution_of_the_sample(data: Path, judge: LocalJudge) -> None:
    """All but three pass: those return outside of a function, which the published harness wraps around every script."""
    programs = []
    for task in load_tasks(f"apps:{data}/apps-sample"):
        problem = data / "apps-sample" / task.id.removeprefix("apps/")
        for solution in json.loads((problem / "solutions.json").read_text()):
            programs.append((task, f"{PRELUDE}\n{solution}" if task.entry_point else solution))
    failing = []
    for (task, _), report in zip(programs, judge.run_many(programs), strict=True):
        assert isinstance(report, Report), report
        if not report.passed:
            failing.append(reference_fault(task, report)[:300])
    assert len(programs) == 101
    assert len(failing) == 3, failing
    assert all("'return' outside function" in fault for fault in failing), failing
