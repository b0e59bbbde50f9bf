"""Where the time of a training run goes: speed of every stage, its share of the wall time, and the peak memory.

    python benchmarks/training.py [--steps 3] [any setting of `linewise train rltf`]

Runs the recipe in a temporary folder without evaluation and reads its metrics. The first step is left out of the
averages: it warms up. "other" is what no stage accounts for: records, display, the sampler's copy of the weights.
"""

import json
import os
import platform
import resource
import sys
import tempfile
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from linewise.cli.quiet import quiet_libraries
from linewise.cli.train import parse_arguments
from linewise.recipes.rltf import rltf
from linewise.training.run import train

STAGES = {
    "generate": ("tokens/sampled", "tokens/s sampled"),
    "judge": ("programs", "programs/s judged"),
    "credit": ("programs", "programs/s credited"),
    "train": ("tokens/trained", "tokens/s trained, prompts included"),
}


def main(arguments: list[str]) -> None:
    quiet_libraries()
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        settings = ["--steps", "3", "--save-every", "1000000", "--evaluation.num-samples", "0"]
        recipe = parse_arguments("rltf", [*settings, *arguments, "--out", str(out)], rltf()).recipe
        train(recipe, out, console=Console(stderr=True))
        steps = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    first, *rest = steps
    wall = rest[-1]["seconds"] - first["seconds"]
    programs = rest[-1]["samples"] - first["samples"]
    total = {name: sum(step.get(name, 0.0) for step in rest) for name in rest[0]} | {"programs": programs}
    table = Table("stage", "seconds a step", "share of wall time", "speed")
    accounted = 0.0
    for stage, (count, unit) in STAGES.items():
        seconds = total[f"seconds/{stage}"]
        accounted += seconds
        table.add_row(
            stage, f"{seconds / len(rest):.2f}", f"{seconds / wall:.1%}", f"{total[count] / seconds:,.0f} {unit}"
        )
    table.add_row("other", f"{(wall - accounted) / len(rest):.2f}", f"{(wall - accounted) / wall:.1%}", "")
    console = Console(width=110)
    console.print(table)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    gpu = f", GPU {torch.cuda.max_memory_allocated() / 2**30:.2f} GiB" if torch.cuda.is_available() else ""
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else torch.backends.cpu.get_cpu_capability()
    console.print(
        f"peak memory {peak:.2f} GiB{gpu}; {recipe.policy}, {programs // len(rest)} programs a step, {len(rest)} steps; "
        f"{device}, {os.cpu_count()} cores, {platform.python_implementation()} {platform.python_version()}, "
        f"torch {torch.__version__}"
    )


if __name__ == "__main__":
    main(sys.argv[1:])
