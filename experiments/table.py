"""The table of an experiment's arms: held-out pass@1 before and after over seeds and tasks, and each arm minus the first.

    python experiments/table.py FOLDER "PPO=ppo-{seed}" "value only=value-{seed}" ... [--seeds 0 1 2] [--prm PATTERN]

An arm is a name and the place of its run below FOLDER, `{seed}` standing for the seed. Only seeds that all arms have finished
count. `--prm` is the place of a process reward model, whose held-out figures are printed as well.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from linewise.evaluation.compare import bootstrap_table, table_of
from linewise.evaluation.evaluate import Evaluation

PRM_FIGURES = ("sign_accuracy", "place_accuracy", "first_error_top1", "place_top1", "auc", "place_auc")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("arms", nargs="+", metavar="NAME=PATTERN")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--prm", metavar="PATTERN")
    options = parser.parse_args()
    places = dict(arm.split("=", 1) for arm in options.arms)
    arms = {
        arm: {seed: options.folder / place.format(seed=seed) for seed in options.seeds} for arm, place in places.items()
    }
    seeds = [seed for seed in options.seeds if all((runs[seed] / "report.html").exists() for runs in arms.values())]
    if not seeds:
        parser.error(f"no seed of {options.seeds} has finished in all arms below {options.folder}.")
    console = Console(width=120)
    first, *_ = rates = {arm: pass_rates([runs[seed] for seed in seeds]) for arm, runs in arms.items()}
    table = Table("arm", "programs", "before", "after [95 %]", f"minus {first} [95 %]")
    for arm, (before, after) in rates.items():
        against = "" if arm == first else str(bootstrap_table(after - rates[first][1]))
        sampled = f"{np.mean([programs(arms[arm][seed]) for seed in seeds]):,.0f}"
        table.add_row(arm, sampled, f"{before.mean():.3f}", str(bootstrap_table(after)), against)
    console.print(table)
    num_tasks = rates[first][1].shape[1]
    console.print(f"seeds: {len(seeds)}, tasks: {num_tasks}; by seed, after training:", highlight=False)
    for arm, (_, after) in rates.items():
        console.print(f"  {arm:<24}" + "  ".join(f"{one:.3f}" for one in after.mean(axis=1)), highlight=False)
    if options.prm is not None:
        for place in dict.fromkeys(options.prm.format(seed=seed) for seed in seeds):
            console.print(f"  {place}: {prm_figures(options.folder / place)}", highlight=False)


def pass_rates(runs: list[Path]) -> tuple[np.ndarray, np.ndarray]:
    """[seeds, tasks] pass rates of the first and of the last evaluation."""
    files = [sorted((run / "evaluations").glob("step-*.json")) for run in runs]
    before, after = ([Evaluation.from_json(ours[place].read_text()) for ours in files] for place in (0, -1))
    tasks = sorted(one.task_id for one in before[0].results)
    return table_of(before, tasks, 1), table_of(after, tasks, 1)


def programs(run: Path) -> int:
    """Programs sampled in training, those that no update sees included."""
    return round(json.loads((run / "metrics.jsonl").read_text().splitlines()[-1])["budget/programs"])


def prm_figures(folder: Path) -> str:
    """Held-out figures of a process reward model, but for those that are missing: too few programs, or an older training."""
    metrics = json.loads((folder / "held_out.json").read_text())["metrics"]
    return ", ".join(f"{name} {metrics[name]:.2f}" for name in PRM_FIGURES if metrics.get(name) is not None)


if __name__ == "__main__":
    main()
