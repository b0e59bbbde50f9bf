"""`linewise train`: a start that fails says why and leaves nothing behind; one that works leaves a whole run."""

import json
from pathlib import Path

import pytest

from linewise.cli.main import main
from linewise.tasks.jsonl import dump_jsonl
from linewise.types import CallTest, Limits, Task


def make_task(name: str, split: str) -> Task:
    return Task(
        id=name,
        prompt="Do it.",
        tests=(CallTest(call=f"{name}(3)", expected="4"),),
        entry_point=name,
        signature=f"def {name}(x):",
        reference=f"def {name}(x):\n    return x + 1\n",
        limits=Limits(cpu_seconds=0.5, total_cpu_seconds=1.0),
        metadata={"split": split},
    )


@pytest.fixture
def tasks(tmp_path: Path) -> str:
    folder = tmp_path / "input"
    folder.mkdir()
    dump_jsonl([make_task("f", "train"), make_task("g", "train"), make_task("h", "heldout")], folder / "tasks.jsonl")
    return f"jsonl:{folder / 'tasks.jsonl'}"


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """The policy `tiny` is built in a folder of its own."""
    monkeypatch.setenv("LINEWISE_CACHE", str(tmp_path_factory.getbasetemp() / "linewise-cache"))


SMALL = [
    *("--policy", "tiny", "--precision", "no", "--workers", "1", "--steps", "1"),
    *("--collection.tasks-per-step", "2", "--collection.num-samples", "2"),
    *("--collection.sampling.max-new-tokens", "8", "--buffer.capacity", "4", "--buffer.warmup", "4"),
    *("--update.samples-per-step", "4", "--supervised.references-per-step", "1"),
    *("--evaluation.num-samples", "1", "--evaluation.sampling.max-new-tokens", "8"),
]


def files_below(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def error_of(capsys: pytest.CaptureFixture[str], tmp_path: Path, *arguments: str) -> str:
    """The message of a start that must fail with 2, on one line, without a change on disk."""
    before = files_below(tmp_path)
    capsys.readouterr()
    assert main(["train", *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("linewise train: ")
    assert captured.err.count("\n") == 1
    assert files_below(tmp_path) == before
    return captured.err


def test_help_lists_the_recipes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--help"]) == 0
    out = capsys.readouterr().out
    assert "usage: linewise train RECIPE --out FOLDER" in out
    assert "rltf" in out


def test_help_of_a_recipe_lists_its_settings(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["train", "rltf", "--help"])
    assert end.value.code == 0
    out = capsys.readouterr().out
    for option in ("--out", "--resume", "--policy", "--credit.", "--update.learning-rate", "--lora.rank", "--trackers"):
        assert option in out
    assert "4e-05" in out, "the recipe's own defaults"


def test_an_unknown_recipe(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    message = error_of(capsys, tmp_path, "rtlf", "--out", str(tmp_path / "run"))
    assert "unknown recipe 'rtlf'. Did you mean 'rltf'? There are: rltf, ppo, " in message


def test_neither_out_nor_resume(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "give --out FOLDER for a new run, or --resume FOLDER" in error_of(capsys, tmp_path, "rltf")


def test_resuming_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    message = error_of(capsys, tmp_path, "rltf", "--resume", str(tmp_path / "run"))
    assert f"{tmp_path / 'run'} holds no run to resume: there is no config.json" in message
    assert f"Start one with --out {tmp_path / 'run'}" in message


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("--tasks", "startr", "unknown task set 'startr' in 'startr'. Did you mean 'starter'?"),
        ("--tasks", "jsonl:none.jsonl", "cannot read the task file none.jsonl: No such file or directory"),
        ("--policy", "./no/such/folder", "There is no folder './no/such/folder'"),
        ("--policy", ".", "The folder '.' holds no config.json"),
    ],
)
def test_an_unknown_policy_or_task_set(
    option: str,
    value: str,
    words: str,
    tasks: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    pytest.importorskip("torch")
    monkeypatch.chdir(tmp_path)
    options = [*SMALL, "--tasks", tasks, "--out", str(tmp_path / "run"), option, value]
    assert words in error_of(capsys, tmp_path, "rltf", *options)


def test_no_held_out_task(tasks: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("torch")
    file = tasks.removeprefix("jsonl:")
    message = error_of(capsys, tmp_path, "rltf", *SMALL, "--tasks", f"jsonl@train:{file}", "--out", str(tmp_path / "r"))
    assert "no task is left to evaluate on" in message
    assert "--evaluation.num-samples 0" in message


def test_settings_that_cannot_work_are_usage_errors(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--buffer.capacity", "4", "--buffer.warmup", "9"]
    with pytest.raises(SystemExit) as end:
        main(["train", "rltf", "--out", str(tmp_path / "run"), *options])
    assert end.value.code == 2
    words = capsys.readouterr().err
    assert "buffer.warmup=9" in words
    assert "buffer.capacity=4" in words
    assert files_below(tmp_path) == set()


@pytest.mark.parametrize("below", ["", "/run"])
def test_an_out_that_is_a_file(below: str, tasks: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("torch")
    (tmp_path / "file").write_text("mine")
    assert "file" in error_of(
        capsys, tmp_path, "rltf", *SMALL, "--tasks", tasks, "--out", f"{tmp_path / 'file'}{below}"
    )


def test_resuming_a_broken_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.json").write_text('{"algorithm": "RL')
    assert "config.json" in error_of(capsys, tmp_path, "rltf", "--resume", str(tmp_path / "run"))


def test_one_step_then_no_second_start_and_a_resumed_one(
    tasks: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("tensorboard")
    run = tmp_path / "run"
    options = [*SMALL, "--tasks", tasks, "--trackers", "tensorboard"]
    assert main(["train", "rltf", *options, "--out", str(run)]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "held-out pass@1 0.000 -> 0.000, difference +0.000 [+0.000, +0.000]" in out
    assert "step 1 pass" in out
    expected = {"config.json", "environment.json", "metrics.jsonl", "rollouts.jsonl", "report.html", "policy"}
    assert expected <= files_below(run)
    assert [path.name for path in (run / "checkpoints").iterdir()] == ["step-000001"]
    assert sorted(path.name for path in (run / "evaluations").iterdir()) == ["step-000000.json", "step-000001.json"]
    events = [path for path in (run / "trackers").rglob("events.out.tfevents.*") if path.stat().st_size > 0]
    assert b"rollout/pass_rate" in b"".join(path.read_bytes() for path in events)
    (row,) = map(json.loads, (run / "metrics.jsonl").read_text().splitlines())
    assert (row["step"], row["samples"], row["buffer/fill"]) == (1, 4, 4)
    assert json.loads((run / "config.json").read_text())["policy"] == "tiny"
    assert "RLTF on tiny" in (run / "report.html").read_text()

    message = error_of(capsys, tmp_path, "rltf", *options, "--out", str(run))
    assert f"{run} already holds a run. Continue it with --resume {run}, or give another --out." in message
    message = error_of(capsys, tmp_path, "rltf", "--out", str(run), "--resume", str(run))
    assert "give one of them, not both" in message
    message = error_of(capsys, tmp_path, "rltf", "--resume", str(run), "--seed", "1")
    assert "has seed = 0, not 1" in message

    assert main(["train", "rltf", "--resume", str(run), "--steps", "2"]) == 0
    assert [json.loads(line)["step"] for line in (run / "metrics.jsonl").read_text().splitlines()] == [1, 2]
