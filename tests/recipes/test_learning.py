"""Every recipe lifts a tiny policy past a threshold, with its own credit, loss and models.

`rltf` has a test in tests/training/test_run.py; what needs a trained judge has one in test_judged.py.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from linewise.recipes.catalogue import RECIPES
from linewise.rollout.buffer import BufferOptions
from linewise.training.config import AnyRecipe, EvaluationOptions
from linewise.training.run import train
from linewise.types import Sampling
from linewise.values.monte_carlo import MonteCarloOptions

ELSEWHERE = ("rltf", "dense-ppo", "ircoco", "tp-grpo", "process-grpo", "coderl")
"""Recipes that need references or a trained judge of lines."""
STEPS = 16
"""Few: once every program passes, whitened advantages are noise of deviation 1, and at this rate they undo it all."""
SAMPLING = Sampling(max_new_tokens=24)


def tiny(make: Callable[[], AnyRecipe], policy: Path, tasks: Path) -> AnyRecipe:
    """The recipe as it is, but for the model, the tasks and what their size asks for."""
    recipe = make()
    return replace(
        recipe,
        policy=str(policy),
        tasks=(f"jsonl:{tasks}",),
        steps=STEPS,
        precision="no",
        workers=1,
        save_every=1000,
        collection=replace(recipe.collection, tasks_per_step=4, num_samples=8, sampling=SAMPLING),
        buffer=BufferOptions(capacity=32, warmup=32),
        supervised=replace(recipe.supervised, references_per_step=0),
        update=replace(recipe.update, samples_per_step=32, learning_rate=3e-4, warmup_steps=0),
        critic=replace(recipe.critic, learning_rate=1e-3),
        vines=MonteCarloOptions(num_completions=4, first_chunk=4),
        evaluation=EvaluationOptions(num_samples=16, sampling=SAMPLING),
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in RECIPES if name not in ELSEWHERE])
def test_a_recipe_lifts_a_tiny_policy(name: str, warm_policy: Path, task_file: Path, tmp_path: Path) -> None:
    """One body of six passes at the start; no recipe ever sees a reference."""
    result = train(tiny(RECIPES[name], warm_policy, task_file), tmp_path / "run")
    assert result.before is not None
    assert result.after is not None
    assert result.before.pass_at_k(1).mean < 0.3
    assert result.after.pass_at_k(1).mean > 0.5
