"""The table of the ablation: paired change of held-out pass@1 for each arm, by seed and over seeds and tasks."""

import sys
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from linewise.evaluation.evaluate import Evaluation, paired_difference
from linewise.evaluation.intervals import Estimate, bootstrap_mean

ARMS = ("sl", "sl+coarse", "sl+coarse+fine", "sl+coarse+fine+adaptive")


def main(folder: Path) -> None:
    table = Table("arm", "seed", "before", "after", "difference [95 %]")
    changes: dict[str, dict[int, Estimate]] = {}
    for arm in ARMS:
        rates = []
        for run in sorted(folder.glob(f"{arm}-[0-9]")):
            seed = int(run.name[-1])
            before, after = evaluations_of(run)
            change = changes.setdefault(arm, {})[seed] = paired_difference(before, after)
            rates.append((before.pass_at_k(1).mean, after.pass_at_k(1).mean))
            table.add_row(arm, str(seed), *(f"{rate:.3f}" for rate in rates[-1]), str(change))
        means = np.mean(rates, axis=0)
        table.add_row(
            arm, "all", *(f"{rate:.3f}" for rate in means), over_seeds(folder, arm), style="bold", end_section=True
        )
    console = Console(width=100)
    console.print(table)
    console.print("Intervals of one seed are over tasks; those of `all` over tasks, each averaged over its seeds.")
    for arm in ARMS[1:]:
        console.print(f"{arm} minus sl, after training, paired by task and seed: {against_sl(folder, arm)}")


def evaluations_of(run: Path) -> tuple[Evaluation, Evaluation]:
    """The first and the last evaluation of a run."""
    texts = [file.read_text() for file in sorted((run / "evaluations").glob("step-*.json"))]
    return Evaluation.from_json(texts[0]), Evaluation.from_json(texts[-1])


def by_task(folder: Path, arm: str, which: int) -> dict[str, list[float]]:
    """Task -> pass rates of all seeds that evaluated it, before (0) or after (1)."""
    rates: dict[str, list[float]] = {}
    for run in sorted(folder.glob(f"{arm}-[0-9]")):
        for result in evaluations_of(run)[which].results:
            rates.setdefault(result.task_id, []).append(result.num_passed / result.num_samples)
    return rates


def over_seeds(folder: Path, arm: str) -> str:
    """Mean change over tasks and seeds."""
    before, after = by_task(folder, arm, 0), by_task(folder, arm, 1)
    return str(bootstrap_mean([float(np.mean(after[task]) - np.mean(before[task])) for task in before]))


def against_sl(folder: Path, arm: str) -> str:
    """Mean difference of the trained policies to those of `sl`."""
    ours, theirs = by_task(folder, arm, 1), by_task(folder, "sl", 1)
    return str(bootstrap_mean([float(np.mean(ours[task]) - np.mean(theirs[task])) for task in theirs if task in ours]))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
