"""What a step of PPO costs beside outcome-only REINFORCE: seconds by stage and peak memory, each recipe in its own process.

    python benchmarks/ppo.py --policy arena --tasks arena
    python benchmarks/ppo.py --policy smollm2-135m --tasks starter --steps 2

All recipes sample 64 programs a step (VinePPO 32, and its completions). The first step, which warms caches, is left out. A
critic of its own is a second model with its own optimiser; a shared one is a head; a reference is a frozen copy.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from linewise.recipes.grpo import dr_grpo, grpo
from linewise.recipes.ppo import ppo
from linewise.recipes.reinforce import reinforce
from linewise.recipes.vineppo import vineppo
from linewise.training.config import AnyRecipe, CriticKind, CriticOptions, EvaluationOptions

STAGES = ("generate", "judge", "score", "credit", "train")


def shared_critic() -> AnyRecipe:
    return replace(ppo(), critic=CriticOptions(kind=CriticKind.SHARED))


def one_update() -> AnyRecipe:
    recipe = ppo()
    return replace(recipe, update=replace(recipe.update, epochs=1, minibatches=1))


ARMS: dict[str, Callable[[], AnyRecipe]] = {
    "REINFORCE": reinforce,
    "Dr. GRPO (old log-probabilities)": dr_grpo,
    "GRPO (and a reference)": grpo,
    "PPO, own critic, one update": one_update,
    "PPO, own critic, 2 x 2 updates": ppo,
    "PPO, shared critic, 2 x 2 updates": shared_critic,
    "VinePPO, K = 9": vineppo,
}


def run_arm(name: str, policy: str, tasks: str, steps: int) -> None:
    """Run one recipe and print its figures as JSON."""
    from linewise.training.run import train

    recipe = ARMS[name]()
    # Warm-up steps train no policy: they would flatter PPO.
    recipe = replace(
        recipe,
        policy=policy,
        tasks=(tasks,),
        steps=steps + 1,
        critic=replace(recipe.critic, warmup_steps=0),
        evaluation=EvaluationOptions(num_samples=0),
        save_every=10_000,
    )
    with tempfile.TemporaryDirectory() as folder:
        train(recipe, Path(folder) / "run")
        lines = (Path(folder) / "run" / "metrics.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines][1:]
    figures = {stage: sum(row[f"seconds/{stage}"] for row in rows) / len(rows) for stage in STAGES}
    figures["memory"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    figures["tokens"] = sum(row["tokens/trained"] for row in rows) / len(rows)
    print(json.dumps(figures))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--policy", default="arena")
    parser.add_argument("--tasks", default="arena")
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--arm", choices=list(ARMS))
    options = parser.parse_args()
    if options.arm:
        run_arm(options.arm, options.policy, options.tasks, options.steps)
        return
    columns = " ".join(f"{stage:>9}" for stage in STAGES)
    print(f"{options.policy}, seconds a step\n{'':<36}{columns} {'all':>8} {'GiB':>6} {'trained tokens':>15}")
    for name in ARMS:
        command = [sys.executable, __file__, "--arm", name, "--policy", options.policy, "--tasks", options.tasks]
        command += ["--steps", str(options.steps)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        figures = json.loads(done.stdout.splitlines()[-1])
        seconds = [figures[stage] for stage in STAGES]
        cells = " ".join(f"{value:>9.2f}" for value in seconds)
        print(
            f"{name:<36}{cells} {sum(seconds):>8.2f} {figures['memory']:>6.2f} {figures['tokens']:>15.0f}", flush=True
        )


if __name__ == "__main__":
    main()
