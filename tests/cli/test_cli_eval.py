"""`linewise eval` with the policies that need no model."""

import json
from pathlib import Path

import pytest

from linewise.cli.eval import load
from linewise.cli.main import main
from linewise.evaluation.evaluate import Evaluation
from linewise.tasks.jsonl import dump_jsonl, task_to_json
from linewise.types import CallTest, StdinTest, Task

ADD = Task(
    id="add",
    prompt="Add two numbers.",
    entry_point="add",
    signature="def add(a, b):",
    reference="def add(a, b):\n    return a + b\n",
    tests=(CallTest(call="add(2, 3)", expected="5"),),
    metadata={"family": "numbers"},
)
NOTHING = Task(
    id="nothing",
    prompt="Return nothing.",
    entry_point="nothing",
    reference="def nothing(x):\n    return None\n",
    tests=(CallTest(call="nothing(2)", expected="None"),),
    metadata={"family": "none"},
)
DOUBLE = Task(
    id="double",
    prompt="Print the double.",
    reference="print(2 * int(input()))\n",
    tests=(StdinTest(input="4\n", expected="8\n"),),
)


@pytest.fixture
def file(tmp_path: Path) -> str:
    dump_jsonl([ADD, NOTHING], tmp_path / "tasks.jsonl")
    return f"jsonl:{tmp_path / 'tasks.jsonl'}"


def evaluate(*arguments: str) -> int:
    return main(["eval", "--workers", "1", *arguments])


def test_references_pass_everything(file: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dump_jsonl([DOUBLE], tmp_path / "double.jsonl")
    tasks = ["--tasks", file, f"jsonl:{tmp_path / 'double.jsonl'}"]
    assert evaluate("--policy", "reference", *tasks, "--json") == 0
    captured = capsys.readouterr()
    record = json.loads(captured.out)
    assert record["num_tasks"] == 3
    assert record["verdicts"] == {"passed": 3}
    assert record["pass_at_k"]["1"]["mean"] == 1.0


def test_the_shape_of_the_json(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert evaluate("--policy", "stub", "--tasks", file, "--num-samples", "4", "--k", "1", "4", "--json") == 0
    captured = capsys.readouterr()
    assert captured.out.count("\n") == 1, "one line, and the progress is not on standard output"
    record = json.loads(captured.out)
    assert list(record) == [
        *("policy", "num_tasks", "num_samples", "pass_at_k", "verdicts"),
        *("num_judge_errors", "num_tokens", "seconds_generate", "seconds_judge"),
    ]
    estimate = {"mean": 0.5, "low": 0.0, "high": 1.0, "num_tasks": 2, "confidence": 0.95}
    assert record["pass_at_k"] == {"1": estimate, "4": estimate}, "the stub passes one of two tasks, every time"
    assert record["verdicts"] == {"passed": 4, "failed": 4}
    assert (record["policy"], record["num_samples"], record["num_judge_errors"]) == ("stub", 4, 0)
    assert record["num_tokens"] > 0


def test_the_table(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert evaluate("--policy", "stub", "--tasks", file, "--by-family", "--num-samples", "2") == 0
    captured = capsys.readouterr()
    rows = {line.split("│")[1].strip(): line.split("│")[2].strip() for line in captured.out.splitlines() if "│" in line}
    assert rows == {
        "none": "1.000 [1.000, 1.000]",
        "numbers": "0.000 [0.000, 0.000]",
        "all 2": "0.500 [0.000, 1.000]",
    }
    assert "2 passed" in captured.out
    assert "2 failed" in captured.out
    assert "0 faults of the judge" in captured.out
    assert "sampling" in captured.err


def test_the_whole_evaluation_goes_into_a_file(file: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "stub.json"
    assert evaluate("--policy", "stub", "--tasks", file, "--out", str(out), "--seed", "3", "--json") == 0
    evaluation = Evaluation.from_json(out.read_text())
    assert (evaluation.policy, evaluation.seed) == ("stub", 3)
    assert [(one.task_id, one.family, one.num_passed) for one in evaluation.results] == [
        ("add", "numbers", 0),
        ("nothing", "none", 1),
    ]
    assert json.loads(capsys.readouterr().out)["pass_at_k"]["1"]["mean"] == evaluation.pass_at_k(1).mean


def test_a_limit(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert evaluate("--policy", "reference", "--tasks", file, "--limit", "1", "--json") == 0
    assert json.loads(capsys.readouterr().out)["num_tasks"] == 1


def test_starter_means_its_held_out_split() -> None:
    held_out = load(["starter"])
    assert {task.metadata["split"] for task in held_out} == {"heldout"}
    assert load(["starter@heldout"]) == held_out
    assert {task.metadata["split"] for task in load(["starter@train"])} == {"train"}


# --------------------------------------------------------------------------------------------------------------- errors


def error_of(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The message of a command that must fail with 2, on one line and without output or traceback."""
    assert evaluate(*arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("linewise eval: ")
    assert captured.err.count("\n") == 1
    return captured.err


def test_k_larger_than_the_samples(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--policy", "stub", "--tasks", file, "--num-samples", "4", "--k", "1", "8"]
    assert "--k 8 needs at least as many samples and --num-samples is 4: give --num-samples 8 or more." in error_of(
        capsys, *options
    )


def test_an_unknown_task_set(capsys: pytest.CaptureFixture[str]) -> None:
    message = error_of(capsys, "--policy", "stub", "--tasks", "startr")
    assert "unknown task set 'startr' in 'startr'. Did you mean 'starter'?" in message
    assert "starter, starter-hard, arena, mbpp, odex, humaneval" in message
    assert "Did you mean 'heldout'?" in error_of(capsys, "--policy", "stub", "--tasks", "starter@held")


def test_an_unknown_policy(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("torch")
    message = error_of(capsys, "--policy", "./no/such/folder", "--tasks", file)
    assert "There is no folder './no/such/folder'" in message
    assert "smollm2-135m" in message


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda record: {name: value for name, value in record.items() if name != "prompt"}, "field 'prompt'"),
        (lambda record: record | {"tests": []}, "field 'tests"),
        (lambda record: record | {"limits": {"cpu_seconds": "two"}}, "field 'limits', field 'cpu_seconds'"),
    ],
)
def test_a_broken_task_is_named_by_file_line_and_field(
    spoil: object, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "broken.jsonl"
    broken = spoil(task_to_json(NOTHING))  # type: ignore[operator]
    path.write_text(f"{json.dumps(task_to_json(ADD))}\n\n{json.dumps(broken)}\n")
    message = error_of(capsys, "--policy", "reference", "--tasks", f"jsonl:{path}")
    assert f"{path}, line 3, {words}" in message


def test_a_line_that_is_no_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "broken.jsonl"
    path.write_text(f"{json.dumps(task_to_json(ADD))}\n{{\n")
    message = error_of(capsys, "--policy", "reference", "--tasks", f"jsonl:{path}")
    assert f"{path}, line 2, column 2: no valid JSON" in message


def test_a_task_without_a_reference_has_no_answer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dump_jsonl([Task(id="bare", prompt="p", tests=ADD.tests, entry_point="add")], tmp_path / "bare.jsonl")
    assert evaluate("--policy", "reference", "--tasks", f"jsonl:{tmp_path / 'bare.jsonl'}") == 2
    assert "linewise eval: the task 'bare' has no reference" in capsys.readouterr().err


def test_a_result_that_cannot_be_written(file: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "none" / "stub.json"
    assert evaluate("--policy", "stub", "--tasks", file, "--out", str(out)) == 2
    assert f"make {out.parent} first" in capsys.readouterr().err
    assert evaluate("--policy", "stub", "--tasks", file, "--out", str(tmp_path)) == 2
    assert f"could not write {tmp_path}: Is a directory. Choose another --out." in capsys.readouterr().err


@pytest.mark.parametrize("options", [["--k", "0"], ["--k"], ["--limit", "0"]])
def test_settings_that_ask_for_nothing_are_usage_errors(
    options: list[str], file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    error_of(capsys, "--policy", "stub", "--tasks", file, *options)


def test_two_tasks_of_one_id_are_refused(file: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = Task(
        id="add",
        prompt="Subtract.",
        entry_point="add",
        reference="def add(a, b):\n    return a - b\n",
        tests=(CallTest(call="add(2, 3)", expected="-1"),),
    )
    dump_jsonl([other], tmp_path / "other.jsonl")
    message = error_of(capsys, "--policy", "reference", "--tasks", file, f"jsonl:{tmp_path / 'other.jsonl'}")
    assert "'add'" in message
