from pathlib import Path

import pytest

from linewise.errors import TaskError
from linewise.judge import LocalJudge
from linewise.tasks import load_tasks
from linewise.tasks.quixbugs import load_quixbugs
from linewise.types import CallTest, Report


def test_programs(data: Path) -> None:
    """Every fixed program passes and every buggy one does not."""
    assert data.is_dir()
    tasks = load_tasks("quixbugs")
    assert (len(tasks), sum(len(task.tests) for task in tasks)) == (31, 239)
    with LocalJudge(workers=1) as judge:
        fixed = judge.run_many((task, task.reference or "") for task in tasks)
        assert [one.passed for one in fixed if isinstance(one, Report)] == [True] * 31
        buggy = judge.run_many((task, task.metadata["buggy"]) for task in tasks)
        assert [one.passed for one in buggy if isinstance(one, Report)] == [False] * 31


def test_task(data: Path) -> None:
    assert data.is_dir()
    task = next(task for task in load_tasks("quixbugs") if task.entry_point == "sqrt")
    assert task.tests[0] == CallTest(call="plain(sqrt(2, 0.01))", expected="1.4166666666666665", tolerance=1e-4)
    assert task.signature == "def sqrt(x, epsilon):"
    assert task.metadata["faulty_lines"] == "4"
    assert "def sqrt" in task.prompt


def test_faults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LINEWISE_DATA", raising=False)
    with pytest.raises(TaskError, match=r"there is no file quixbugs/quixbugs\.jsonl; set LINEWISE_DATA"):
        load_quixbugs()
    file = tmp_path / "q.jsonl"
    file.write_text('{"id": "a", "buggy": "x", "fixed": "y"}')
    with pytest.raises(TaskError, match=r"q\.jsonl has no tests"):
        load_quixbugs(file)
    (tmp_path / "json_testcases").mkdir()
    (tmp_path / "json_testcases/a.json").write_text("[[1], 2]")
    with pytest.raises(TaskError, match=r"a.json: no program and tests of QuixBugs \(KeyError"):
        load_quixbugs(file)
