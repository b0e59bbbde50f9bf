"""The table of the arms: held-out pass@1 before and after, over seeds and tasks, and each arm minus the PPO baseline."""

import json
import sys
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from linewise.evaluation.compare import bootstrap_table, table_of
from linewise.evaluation.evaluate import Evaluation

ARMS = {
    "PPO (baseline)": "both/baseline",
    "value only": "value",
    "dense only": "dense",
    "both": "both/final",
    "PPO, more steps": "long",
}


def main(folder: Path) -> None:
    seeds = sorted(
        path for path in folder.glob("seed-*") if all((path / run / "policy").exists() for run in ARMS.values())
    )
    table = Table("arm", "programs trained on", "before", "after [95 %]", "minus baseline [95 %]")
    baseline = rates(seeds, ARMS["PPO (baseline)"], -1)
    for arm, run in ARMS.items():
        before, after = rates(seeds, run, 0), rates(seeds, run, -1)
        against = "" if arm.endswith("(baseline)") else str(bootstrap_table(after - baseline))
        table.add_row(arm, str(programs(seeds[0] / run)), f"{before.mean():.3f}", str(bootstrap_table(after)), against)
    console = Console(width=120)
    console.print(table)
    console.print(f"{len(seeds)} seeds x {baseline.shape[1]} tasks; by seed, after training:", highlight=False)
    for arm, run in ARMS.items():
        console.print(f"  {arm:<18}" + "  ".join(f"{one:.3f}" for one in rates(seeds, run, -1).mean(axis=1)))
    for seed in seeds:
        metrics = json.loads((seed / "both" / "prm" / "held_out.json").read_text())["metrics"]
        names = ("sign_accuracy", "majority_accuracy", "first_error_top1", "first_error_chance1", "auc")
        # What the held-out programs are too few for is null.
        known = [f"{name} {metrics[name]:.2f}" for name in names if metrics[name] is not None]
        console.print(f"  PRM of {seed.name}: {', '.join(known)}")


def rates(seeds: list[Path], run: str, which: int) -> np.ndarray:
    """[seeds, tasks] pass rates of the first (0) or last (-1) evaluation."""
    files = [sorted((seed / run / "evaluations").glob("step-*.json"))[which] for seed in seeds]
    evaluations = [Evaluation.from_json(file.read_text()) for file in files]
    return table_of(evaluations, sorted(one.task_id for one in evaluations[0].results), 1)


def programs(run: Path) -> int:
    """Programs sampled for training."""
    return int(json.loads((run / "metrics.jsonl").read_text().splitlines()[-1])["samples"])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
