"""What whole runs of the tiny policy share: small settings, and their metrics."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from linewise.rollout.buffer import BufferOptions
from linewise.training.config import AnyRecipe, EvaluationOptions
from linewise.types import Sampling
from linewise.values.monte_carlo import MonteCarloOptions


def small(recipe: AnyRecipe, policy: Path, tasks: Path, **changes: object) -> AnyRecipe:
    """The recipe with four steps of 16 programs and no evaluation, on the tiny policy."""
    base = replace(
        recipe,
        policy=str(policy),
        tasks=(f"jsonl:{tasks}",),
        steps=4,
        precision="no",
        workers=1,
        save_every=1,
        collection=replace(recipe.collection, tasks_per_step=4, num_samples=4, sampling=Sampling(max_new_tokens=24)),
        buffer=BufferOptions(capacity=16, warmup=16),
        supervised=replace(recipe.supervised, references_per_step=0),
        update=replace(recipe.update, samples_per_step=16, learning_rate=1e-3),
        vines=MonteCarloOptions(num_completions=2, first_chunk=2),
        evaluation=EvaluationOptions(num_samples=0),
    )
    return replace(base, **changes)  # type: ignore[arg-type]


def rows_of(file: Path) -> list[dict[str, Any]]:
    """A file of JSON lines without what depends on the clock."""
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    return [{name: value for name, value in row.items() if "seconds" not in name} for row in rows]


def metrics_of(run: Path) -> list[dict[str, float]]:
    """The metrics of each step of a run, without what depends on the clock."""
    return rows_of(run / "metrics.jsonl")
