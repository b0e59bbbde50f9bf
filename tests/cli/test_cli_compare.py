"""`linewise compare`: two methods and two seeds on a tiny policy; errors before anything is made."""

import json
import shutil
from pathlib import Path

import pytest

from linewise.cli.main import main
from linewise.recipes.equal_terms import Terms, on_equal_terms
from linewise.recipes.grpo import grpo
from linewise.training.records import recipe_to_record
from linewise.training.run_folder import RunFolder


def command(policy: Path, tasks: Path, out: Path) -> list[str]:
    return [
        *("compare", "rltf", "grpo", "--policy", str(policy), "--tasks", f"jsonl:{tasks}", "--out", str(out)),
        *("--seeds", "2", "--budget", "16", "--programs-per-step", "8", "--max-new-tokens", "16", "--evaluations", "2"),
        *("--evaluation-samples", "2", "--precision", "no", "--workers", "1", "--learning-rate", "1e-3"),
    ]


def test_two_methods_and_two_seeds(
    warm_policy: Path, task_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "arena"
    assert main(command(warm_policy, task_file, out)) == 0
    printed = capsys.readouterr().out
    assert all(word in printed for word in ("pass@1", "pass@2", "rltf", "grpo", "starting pass@1", "compare.html"))
    record = json.loads((out / "compare.json").read_text())
    assert [result["method"] for result in record["results"]] == ["rltf", "grpo"]
    for result in record["results"]:
        assert [point["programs"] for point in result["curve"]] == [0, 8, 16]
        assert (result["cost"]["programs"], result["cost"]["steps"], result["num_seeds"]) == (16, 2, 2)
        estimate = result["final"]["1"]
        assert estimate["low"] <= estimate["mean"] <= estimate["high"]
        assert result["curve"][0]["estimate"] == record["start"], "every method starts at the same place"
    (pair,) = record["pairs"]
    by_method = [result["final"]["1"]["mean"] for result in record["results"]]
    assert pair["difference"]["mean"] == pytest.approx(by_method[0] - by_method[1])
    page = (out / "compare.html").read_text()
    assert all(word in page for word in ("rltf", "grpo", "<svg", "rltf 4 x 2, grpo 4 x 2", "rltf trains on reference"))
    assert "http" not in page.split("<pre>")[0], "nothing is loaded from elsewhere"
    folders = [out / method / f"seed-{seed}" for method in ("rltf", "grpo") for seed in (0, 1)]
    assert all((folder / "policy" / "config.json").exists() for folder in folders)
    assert not any((folder / "checkpoints").exists() for folder in folders)
    seeds = [json.loads((folder / "config.json").read_text())["seed"] for folder in folders]
    assert seeds == [0, 1, 0, 1]

    # The same command makes what is missing, reads back the rest, and comes to the same numbers.
    untouched = [(folder / "metrics.jsonl").stat().st_mtime_ns for folder in folders[:3]]
    shutil.rmtree(folders[3])
    assert main(command(warm_policy, task_file, out)) == 0
    assert [(folder / "metrics.jsonl").stat().st_mtime_ns for folder in folders[:3]] == untouched
    again = json.loads((out / "compare.json").read_text())
    assert again["pairs"] == record["pairs"]
    assert [result["final"] for result in again["results"]] == [result["final"] for result in record["results"]]

    capsys.readouterr()
    assert main([*command(warm_policy, task_file, out), "--temperature", "0.5"]) == 2
    assert "rltf, seed 0: the run in" in capsys.readouterr().err


def test_runs_under_other_terms_are_refused_before_any_is_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Else the first method would begin with the evaluation that the second one made under those terms."""
    command = ["compare", "rltf", "grpo", "--policy", str(tmp_path), "--out", str(tmp_path / "out"), "--seeds", "1"]
    other = on_equal_terms(grpo(), Terms(policy=str(tmp_path), evaluation_temperature=1.0), seed=0)
    RunFolder(path=tmp_path / "out" / "grpo" / "seed-0").create(recipe_to_record(other))
    assert main(command) == 2
    assert "grpo, seed 0: the run in" in capsys.readouterr().err
    assert not (tmp_path / "out" / "rltf").exists()


@pytest.mark.parametrize(
    ("methods", "words"),
    [
        (["rltf"], "the methods are rltf: give at least two, each once"),
        (["rltf", "rltf"], "give at least two, each once"),
        (["rltf", "grop"], "unknown method 'grop'. Did you mean 'grpo'?"),
        (["rltf", "psgp"], "unknown method 'psgp'. Did you mean 'psgpo'?"),
        (["rltf", "dense-ppo", "--budget", "128"], "dense-ppo: --judge-share 0.5 of --budget 128 pays for 64 programs"),
        (
            ["rltf", "coderl", "--budget", "100"],
            "coderl: --judge-share 0.5 of --budget 100 leaves 50 programs, and a step",
        ),
        (["rltf", "grpo", "--seeds", "0"], "--seeds 0 leaves no run"),
        (["rltf", "grpo", "--budget", "32"], "programs_per_step=64 must lie between 4 and budget=32"),
    ],
)
def test_what_cannot_be_compared(
    methods: list[str], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compare", *methods, "--out", str(tmp_path / "out")]) == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
