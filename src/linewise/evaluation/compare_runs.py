"""Run folders as runs of a comparison: which evaluation belongs to which part of the budget, and what was spent."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from linewise.errors import RunError
from linewise.evaluation.compare import Cost, Point, Run
from linewise.evaluation.evaluate import Evaluation
from linewise.evaluation.report.page import read_evaluations, read_json, read_lines

FINISHED = "finished.json"
"""In the folder of a run that has come to its end; holds what the run itself does not record."""
ROUNDING = 1e-9


def read_run(folder: Path, *, method: str, seed: int, parts: int) -> Run:
    """A finished run. Raises RunError where a record that the comparison needs is missing or broken."""
    notes: list[str] = []
    rows = read_lines(folder / "metrics.jsonl", notes)
    evaluations = read_evaluations(folder, notes)
    finished = read_json(folder / FINISHED, notes)
    if notes or not rows:
        raise RunError(
            f"the run in {folder} is not whole: {' '.join(notes) or 'it made no step.'} Remove the folder, and give the "
            "command again."
        )
    return Run(
        method=method,
        seed=seed,
        points=tuple(point_of(rows, evaluations, index / parts, folder) for index in range(parts + 1)),
        cost=cost_of(rows, evaluations, finished["discarded_programs"]),
    )


def point_of(
    rows: Sequence[Mapping[str, Any]], evaluations: Mapping[int, Evaluation], part: float, folder: Path
) -> Point:
    """The last policy that this part of the budget pays for, measured."""
    paid = [row for row in rows if row["budget/spent"] <= part + ROUNDING]
    step = paid[-1]["step"] if paid else 0
    if step not in evaluations:
        raise RunError(
            f"the run in {folder} was not evaluated after step {step}, the last that {part:.0%} of its budget pays for: "
            "remove the folder, and give the command again."
        )
    programs = round(paid[-1]["budget/programs"]) if paid else 0
    return Point(part=part, programs=programs, evaluation=evaluations[step])


def cost_of(rows: Sequence[Mapping[str, Any]], evaluations: Mapping[int, Evaluation], discarded: int) -> Cost:
    """What all steps took together, and all evaluations."""

    def total(name: str) -> float:
        return float(sum(row.get(name, 0.0) for row in rows))

    last = rows[-1]
    stages = sorted({name for row in rows for name in row if name.startswith("seconds/")})
    measuring = sum(one.seconds_generate + one.seconds_judge for one in evaluations.values())
    return Cost(
        steps=last["step"],
        programs=round(last["budget/programs"]),
        auxiliary_programs=round(last["budget/programs"]) - last["samples"],
        tokens=round(last["budget/tokens"]),
        verdicts=round(total("rollout/verdicts") + total("auxiliary/verdicts")),
        discarded_programs=discarded,
        seconds={stage.removeprefix("seconds/"): total(stage) for stage in stages} | {"evaluate": measuring},
    )


def finished_text(*, discarded_programs: int) -> str:
    """What `finished.json` holds."""
    return json.dumps({"discarded_programs": discarded_programs})
