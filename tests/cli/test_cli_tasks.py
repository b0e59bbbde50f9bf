import json
from pathlib import Path

import pytest

from linewise.cli.main import main
from linewise.tasks.jsonl import dump_jsonl, load_jsonl
from linewise.types import CallTest, Task

ADD = Task(
    id="add",
    prompt="Add the [bold]numbers[/x] in a[0].\nSecond line.",
    entry_point="add",
    signature="def add(a):",
    setup="zero = 0",
    reference="def add(a):\n    return sum(a)\n",
    tests=(CallTest(call="add([2, 3])", expected="5", example=True), CallTest(call="add([zero])", expected="0")),
    metadata={"split": "train"},
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "tasks.jsonl"
    dump_jsonl([ADD], path)
    return path


@pytest.fixture
def faulty(tmp_path: Path) -> Path:
    path = tmp_path / "faulty.jsonl"
    always_zero = Task(
        id="zero",
        prompt="p",
        entry_point="f",
        reference="def f(x):\n    return 1\n",
        tests=(CallTest(call="f(1)", expected="0"),),
    )
    dump_jsonl([ADD, always_zero], path)
    return path


def test_list_sets(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LINEWISE_DATA", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "200")
    assert main(["tasks", "list"]) == 0
    out = capsys.readouterr().out
    rows = {line.split()[1]: line for line in out.splitlines() if line.startswith("│ ") and line[2] != " "}
    assert list(rows) == [
        "starter",
        "starter-hard",
        "arena",
        "mbpp",
        "odex",
        "humaneval",
        "leetcode",
        "apps",
        "quixbugs",
        "jsonl",
    ]
    assert "built in" in rows["starter"]
    assert "heldout" in rows["starter"]
    assert "the Hugging Face hub" in rows["mbpp"]


def test_list_tasks_keeps_ids_and_brackets_whole(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tasks", "list", f"jsonl:{file}"]) == 0
    out = capsys.readouterr().out
    assert "add" in out
    assert "[bold]numbers[/x] in a[0]." in out
    assert "1 tasks with 2 tests" in out


def test_show(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tasks", "show", f"jsonl@train:{file}", "--id", "add"]) == 0
    out = capsys.readouterr().out
    for part in (
        "[bold]numbers[/x]",
        "def add(a):",
        "example  add([2, 3]) == 5",
        "hidden   add([zero]) == 0",
        "zero = 0",
        "sum(a)",
        "2 s CPU a test",
    ):
        assert part in out


def test_show_json_is_a_line_of_the_format(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tasks", "show", f"jsonl:{file}", "--json"]) == 0
    (tmp_path / "copy.jsonl").write_text(capsys.readouterr().out)
    assert load_jsonl(tmp_path / "copy.jsonl") == [ADD]


def test_show_unknown_id(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tasks", "show", f"jsonl:{file}", "--id", "ad"]) == 2
    assert "there is no task 'ad'. Did you mean 'add'?" in capsys.readouterr().err


def test_check_clean(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tasks", "check", f"jsonl:{file}", "--workers", "1"]) == 0
    assert "1 tasks: 0 references fail their tests, 0 tasks are passed by a stub" in capsys.readouterr().out


def test_check_faults(faulty: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    assert main(["tasks", "check", f"jsonl:{faulty}", "--workers", "1"]) == 1
    out = capsys.readouterr().out
    assert "the reference is failed by f(1) == 0, got 1" in out
    assert "a function that returns 0 passes: its only test is f(1) == 0" in out
    assert "2 tasks: 1 references fail their tests, 1 tasks are passed by a stub" in out


def test_check_json(faulty: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tasks", "check", f"jsonl:{faulty}", "--json", "--workers", "1"]) == 1
    assert json.loads(capsys.readouterr().out) == {
        "tasks": 2,
        "references_failing": 1,
        "passed_by_stub": 1,
        "offenders": [
            {
                "id": "zero",
                "reference": "the reference is failed by f(1) == 0, got 1",
                "stub": "a function that returns 0 passes: its only test is f(1) == 0",
            }
        ],
        "notes": {},
    }


def test_check_in_process_only_on_request(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`globals` is one of the names that need the program's process."""
    test = {"kind": "assert", "code": "assert globals()['add'](1, 2) == 3 and add(2, 2) == 4"}
    task = {
        "id": "add",
        "prompt": "p",
        "entry_point": "add",
        "tests": [test],
        "reference": "def add(a, b): return a + b",
    }
    path = tmp_path / "tasks.jsonl"
    path.write_text(json.dumps(task) + "\n")
    arguments = ["tasks", "check", f"jsonl:{path}", "--workers", "1", "--json"]
    assert main(arguments) == 1
    assert "cannot run apart from the program" in json.loads(capsys.readouterr().out)["offenders"][0]["reference"]
    assert main([*arguments, "--allow-in-process"]) == 0
    assert json.loads(capsys.readouterr().out)["offenders"] == []


def test_errors_are_one_line_and_exit_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "bad.jsonl").write_text("{}\n")
    assert main(["tasks", "check", f"jsonl:{tmp_path / 'bad.jsonl'}"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert (
        captured.err == f"linewise tasks: {tmp_path / 'bad.jsonl'}, line 1, field 'id': it is missing; add a string.\n"
    )


@pytest.mark.parametrize("arguments", [["--help"], ["check", "--help"]])
def test_help(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["tasks", *arguments])
    assert caught.value.code == 0
    assert "linewise tasks check jsonl:mine.jsonl" in capsys.readouterr().out
