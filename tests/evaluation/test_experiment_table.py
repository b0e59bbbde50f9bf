"""The table at the end of an experiment reads runs as they are written."""

import json
import runpy
from pathlib import Path

import pytest

from linewise.evaluation.evaluate import Evaluation, TaskResult
from linewise.recipes.rltf import rltf
from linewise.rollout.prompts import PromptOptions
from linewise.training.budget import Spending, spending_metrics
from linewise.types import Sampling

SCRIPT = Path(__file__).parents[2] / "experiments" / "table.py"


def write_run(folder: Path, before: list[int], after: list[int], *, programs: int) -> None:
    """A finished run of two steps, evaluated with four programs a task."""
    (folder / "evaluations").mkdir(parents=True)
    for step, passed in ((0, before), (2, after)):
        results = tuple(
            TaskResult(task_id=f"t{index}", family="", num_samples=4, num_passed=count, verdicts={})
            for index, count in enumerate(passed)
        )
        one = Evaluation(
            results=results, policy="", num_samples=4, sampling=Sampling(), prompts=PromptOptions(), seed=0
        )
        (folder / "evaluations" / f"step-{step:06d}.json").write_text(one.to_json())
    spent = [Spending(num_programs=programs * step // 2, num_tokens=0) for step in (1, 2)]
    rows = [json.dumps(spending_metrics(rltf(), one)) for one in spent]
    (folder / "metrics.jsonl").write_text("".join(f"{row}\n" for row in rows))
    (folder / "report.html").write_text("")


def test_the_table_of_two_arms(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for seed in (0, 1):
        write_run(tmp_path / f"plain-{seed}", [1, 1], [2, 2], programs=1200)
        write_run(tmp_path / f"other-{seed}", [1, 1], [3, 3], programs=1300)
    write_run(tmp_path / "plain-2", [1, 1], [4, 4], programs=1)  # without a partner it counts for nothing
    (tmp_path / "prm").mkdir()
    metrics = {"sign_accuracy": 0.75, "auc": None}
    (tmp_path / "prm" / "held_out.json").write_text(json.dumps({"metrics": metrics}))
    arguments = [str(tmp_path), "GRPO=plain-{seed}", "hooks=other-{seed}", "--seeds", "0", "1", "2", "--prm", "prm"]
    monkeypatch.setattr("sys.argv", [str(SCRIPT), *arguments])
    runpy.run_path(str(SCRIPT), run_name="__main__")
    said = capsys.readouterr().out
    plain, other = (next(line for line in said.splitlines() if f"│ {name} " in line) for name in ("GRPO", "hooks"))
    assert [word.strip() for word in plain.split("│")[1:-1]] == ["GRPO", "1,200", "0.250", "0.500 [0.500, 0.500]", ""]
    assert [word.strip() for word in other.split("│")[1:-1]] == [
        *("hooks", "1,300", "0.250", "0.750 [0.750, 0.750]", "0.250 [0.250, 0.250]")
    ]
    assert "seeds: 2, tasks: 2;" in said
    assert "prm: sign_accuracy 0.75\n" in said
