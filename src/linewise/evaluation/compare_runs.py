"""Run folders as runs of a comparison: which evaluation belongs to which part of the budget, and what was spent."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from linewise.errors import RunError
from linewise.evaluation.compare import Cost, Point, Run
from linewise.evaluation.evaluate import Evaluation
from linewise.evaluation.report.page import read_evaluations, read_json, read_lines

FINISHED = "finished.json"
"""In the folder of a run that has come to its end; holds what the run itself does not record."""
ROUNDING = 1e-9


@dataclass(frozen=True, kw_only=True)
class Spent:
    """What was sampled and judged before a run, for a model that it reads."""

    programs: int = 0
    tokens: int = 0
    verdicts: int = 0
    """Distinct programs judged."""
    seconds: float = 0.0
    """Wall time, the training of the model included."""
    discarded_programs: int = 0
    """As in `Cost`; `programs` leaves them out."""

    def __add__(self, other: "Spent") -> "Spent":
        return Spent(**{name: value + getattr(other, name) for name, value in vars(self).items()})


def read_run(folder: Path, *, method: str, seed: int, parts: int, spent: Spent | None = None) -> Run:
    """A finished run. Raises RunError where a record that the comparison needs is missing or broken.

    `spent` is what came before the run, whose programs and tokens the run counts as spent from its beginning.
    """
    notes: list[str] = []
    rows = read_lines(folder / "metrics.jsonl", notes)
    evaluations = read_evaluations(folder, notes)
    finished = read_json(folder / FINISHED, notes)
    config = read_json(folder / "config.json", notes)
    if notes or not rows:
        raise RunError(
            f"the run in {folder} is not whole: {' '.join(notes) or 'it made no step.'} Remove the folder, and give the "
            "command again."
        )
    return Run(
        method=method,
        seed=seed,
        points=tuple(point_of(rows, evaluations, index / parts, folder, config) for index in range(parts + 1)),
        cost=cost_of(rows, evaluations, finished["discarded_programs"], spent or Spent()),
    )


def point_of(
    rows: Sequence[Mapping[str, Any]],
    evaluations: Mapping[int, Evaluation],
    part: float,
    folder: Path,
    config: Mapping[str, Any],
) -> Point:
    """The last policy that this part of the budget pays for, measured."""
    paid = [row for row in rows if row["budget/spent"] <= part + ROUNDING]
    step = paid[-1]["step"] if paid else 0
    if step not in evaluations:
        raise RunError(
            f"the run in {folder} was not evaluated after step {step}, the last that {part:.0%} of its budget pays for: "
            "remove the folder, and give the command again."
        )
    programs = round(paid[-1]["budget/programs"]) if paid else programs_before(config, part)
    return Point(part=part, programs=programs, evaluation=evaluations[step])


def programs_before(config: Mapping[str, Any], part: float) -> int:
    """Programs sampled for a model before the first step, as far as this part of the budget pays for them.

    Example: of a budget of 100 programs 40 came before the run: at a quarter it is 25 of them, at a half all 40.
    """
    spent, budget = config.get("spent_programs", 0), config.get("max_programs")
    tokens, token_budget = config.get("spent_tokens", 0), config.get("max_tokens")
    share = max(spent / budget if budget else 0.0, tokens / token_budget if token_budget else 0.0)
    return round(spent * min(1.0, part / share)) if share else 0


def cost_of(
    rows: Sequence[Mapping[str, Any]], evaluations: Mapping[int, Evaluation], discarded: int, spent: Spent
) -> Cost:
    """What all steps took together, all evaluations, and what came before the run."""

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
        verdicts=round(total("rollout/verdicts") + total("auxiliary/verdicts")) + spent.verdicts,
        discarded_programs=discarded + spent.discarded_programs,
        seconds=({"beforehand": spent.seconds} if spent.seconds else {})
        | {stage.removeprefix("seconds/"): total(stage) for stage in stages}
        | {"evaluate": measuring},
    )


def finished_text(*, discarded_programs: int) -> str:
    """What `finished.json` holds."""
    return json.dumps({"discarded_programs": discarded_programs})
