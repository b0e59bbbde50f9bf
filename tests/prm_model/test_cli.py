"""`linewise prm train`, `linewise prm score` and `linewise eval --rerank` with the policy `tiny`."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from linewise.cli import eval as cli_eval
from linewise.cli import prm_score, prm_train
from linewise.errors import UserError
from linewise.policy.classifier import save_classifier
from linewise.prm.model import load_prm
from linewise.tasks.jsonl import dump_jsonl
from linewise.types import CallTest, Task

TASK = Task(
    id="add",
    prompt="Add two numbers.",
    entry_point="add",
    signature="def add(a, b):",
    reference="def add(a, b):\n    return a + b\n",
    tests=(CallTest(call="add(2, 3)", expected="5"),),
)
PROGRAM = "def add(a, b):\n    # so\n    c = a + b\n    return c\n"


@pytest.fixture
def prm(tmp_path: Path) -> str:
    """A process reward model that gives every line another score."""
    loaded = load_prm("tiny")
    with torch.no_grad():
        loaded.model.score.weight.normal_(std=0.05, generator=torch.Generator().manual_seed(0))
    save_classifier(loaded.model, loaded.tokenizer, tmp_path / "prm")
    return str(tmp_path / "prm")


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, str]:
    """A program and a set of tasks."""
    (tmp_path / "program.py").write_text(PROGRAM)
    dump_jsonl([TASK, Task(id="other", prompt="Other.", tests=TASK.tests)], tmp_path / "tasks.jsonl")
    return str(tmp_path / "program.py"), f"jsonl:{tmp_path / 'tasks.jsonl'}"


def test_training_leaves_a_model_and_a_report(make: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = make.write(make.programs(24, num_tasks=4), tmp_path / "labels.jsonl")
    out = tmp_path / "run"
    arguments = ["--labels", str(file), "--policy", "tiny", "--out", str(out), "--epochs", "1", "--precision", "no"]
    assert prm_train.main([*arguments, "--programs-per-step", "8", "--learning-rate", "1e-3"]) == 0
    captured = capsys.readouterr()
    assert "sign accuracy" in captured.out
    assert "held-out" in captured.out
    assert (out / "prm" / "config.json").exists()
    page = (out / "report.html").read_text()
    for part in ("Calibration of the best weights", "share of lines labelled +1", "first error line, top 3"):
        assert part in page
    assert page.count("<svg") == 3
    assert json.loads((out / "environment.json").read_text())["versions"]["torch"]


def score(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    capsys.readouterr()
    assert prm_score.main([*arguments, "--json"]) == 0
    record: dict[str, Any] = json.loads(capsys.readouterr().out)
    return record


def test_scores_of_a_program_that_continues_its_signature(
    prm: str, files: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    record = score(capsys, files[0], "--prm", prm, "--tasks", files[1], "--id", "add")
    # The signature stands in the prompt; its line is ended by the first sampled token, a newline.
    assert [(one["line"], one["code"]) for one in record["lines"]] == [(1, True), (2, False), (3, True), (4, True)]
    values = [one["score"] for one in record["lines"] if one["code"]]
    assert len(set(values)) == 3
    assert record["program"] == {
        "mean": pytest.approx(sum(values) / 3),
        "min": pytest.approx(min(values)),
        "last": pytest.approx(values[-1]),
    }
    before = [sum(values[:index]) for index in range(4)]
    assert record["first_error"] == [1, 3, 4, None][before.index(max(before))], "None: no error fits better"


def test_the_prompt_matters(prm: str, files: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    ours = score(capsys, files[0], "--prm", prm, "--tasks", files[1], "--id", "add")
    other = score(capsys, files[0], "--prm", prm, "--tasks", files[1], "--id", "other")
    given = score(capsys, files[0], "--prm", prm, "--prompt", "# Other.")
    alone = score(capsys, files[0], "--prm", prm)
    assert given["lines"] == other["lines"], "a task without a signature is a comment before the program"
    assert ours["lines"] != other["lines"] != alone["lines"]
    assert [one["line"] for one in alone["lines"]] == [1, 2, 3, 4]


def test_the_drawing_holds_the_program(prm: str, files: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert prm_score.main([files[0], "--prm", prm, "--prompt", "Add."]) == 0
    lines = capsys.readouterr().out.splitlines()
    for line, source in zip(lines, PROGRAM.splitlines(), strict=False):
        assert source in line
    assert lines[0].split()[0] == "1"
    assert float(lines[0].split()[1]) != 0
    assert lines[1].split() == ["2", "#", "so"], "a comment has no score"
    assert sum("first error?" in line for line in lines) <= 1
    assert lines[-1].startswith("program: mean")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--tasks", "TASKS"], "choose one with --id"),
        (["--tasks", "TASKS", "--id", "ad"], "Did you mean 'add'"),
        (["--id", "add"], "give --tasks"),
        (["--tasks", "TASKS", "--id", "add", "--prompt", "x"], "give one of them"),
    ],
)
def test_questions_without_an_answer(prm: str, files: tuple[str, str], arguments: list[str], message: str) -> None:
    arguments = [files[1] if argument == "TASKS" else argument for argument in arguments]
    with pytest.raises(UserError, match=message):
        prm_score.main([files[0], "--prm", prm, *arguments])


def test_an_empty_program_has_no_scores(prm: str, tmp_path: Path) -> None:
    (tmp_path / "empty.py").write_text("\n")
    with pytest.raises(UserError, match="is empty"):
        prm_score.main([str(tmp_path / "empty.py"), "--prm", prm])


SAMPLING = ["--policy", "tiny", "--max-new-tokens", "8", "--workers", "1", "--num-samples", "3"]


def test_reranking(prm: str, files: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli_eval.main([*SAMPLING, "--tasks", files[1], "--rerank", prm, "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert set(record["rerank"]) == {"first", "picked", "any", "gain"}
    assert record["rerank"]["first"]["mean"] == record["pass_at_k"]["1"]["mean"]


@pytest.mark.parametrize("aggregation", ["mean", "min", "last"])
def test_the_table_of_reranking(
    aggregation: str, prm: str, files: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [*SAMPLING, "--tasks", files[1], "--rerank", prm, "--rerank-by", aggregation]
    assert cli_eval.main(arguments) == 0
    out = capsys.readouterr().out
    for words in (
        "at random (pass@1)",
        f"ranked best of 3 ({aggregation} of its lines)",
        "by an oracle (pass@3)",
        "gain over random",
    ):
        assert words in out


def test_reranking_needs_samples(prm: str, files: tuple[str, str]) -> None:
    for arguments in (["--policy", "tiny"], ["--policy", "reference", "--num-samples", "4"]):
        with pytest.raises(UserError, match="--num-samples 2 or more"):
            cli_eval.main([*arguments, "--tasks", files[1], "--rerank", prm])
