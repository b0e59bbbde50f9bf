"""Programs with their outcomes, as an outcome critic is trained on them: on disk, and as sequences. Torch-free."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from linewise.errors import UserError
from linewise.prm.labels import numbered_records
from linewise.rollout.lines import program_tokens
from linewise.rollout.records import completion_from_record, program_from_record
from linewise.types import Completion, Program
from linewise.values.classes import OutcomeClass


@dataclass(frozen=True, kw_only=True)
class JudgedProgram:
    """A program and what became of it."""

    task_id: str
    completion: Completion
    program: Program
    outcome: OutcomeClass
    reference: bool
    """Whether it is the task's own reference, not a sample."""


@dataclass(frozen=True, kw_only=True)
class OutcomeExample:
    """One sequence with its outcome.

    Example: prompt ids `(5, 6)`, tokens `(7, 8, 1)` of which the last ends the answer: `token_ids (5, 6, 7, 8)` and
    `pooled (2, 3)`.
    """

    task_id: str
    token_ids: tuple[int, ...]
    """Prompt and completion, exactly as sampled, up to the program's last token."""
    pooled: tuple[int, ...]
    """Indices into `token_ids` of the program's tokens: what the prediction is pooled over."""
    outcome: OutcomeClass
    reference: bool


def pooled_tokens(completion: Completion, program: Program) -> tuple[int, ...]:
    """Indices into prompt + completion of the tokens that wrote some of the program; all that were sampled if none did."""
    places = np.flatnonzero(program_tokens(completion, program)).tolist() or range(len(completion.token_ids))
    return tuple(len(completion.prompt_ids) + place for place in places)


def example_of(judged: JudgedProgram) -> OutcomeExample:
    """The training sequence of a program; tokens after it are dropped, since a causal model sees none from within."""
    completion = judged.completion
    pooled = pooled_tokens(completion, judged.program)
    assert pooled, "a completion has tokens"
    return OutcomeExample(
        task_id=judged.task_id,
        token_ids=(completion.prompt_ids + completion.token_ids)[: pooled[-1] + 1],
        pooled=pooled,
        outcome=judged.outcome,
        reference=judged.reference,
    )


def judged_to_record(judged: JudgedProgram) -> dict[str, Any]:
    """JSON form."""
    return {**asdict(judged), "outcome": judged.outcome.name.lower()}


def judged_from_record(record: Mapping[str, Any]) -> JudgedProgram:
    """The program of `judged_to_record`. Raises KeyError or TypeError for a record of another shape."""
    return JudgedProgram(
        task_id=record["task_id"],
        completion=completion_from_record(record["completion"]),
        program=program_from_record(record["program"]),
        outcome=OutcomeClass[record["outcome"].upper()],
        reference=record["reference"],
    )


def read_judged(path: Path) -> list[JudgedProgram]:
    """The programs of a JSONL file. Raises UserError, with the line, for a file that holds something else."""
    programs = []
    for number, record in numbered_records(path):
        try:
            programs.append(judged_from_record(record))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise UserError(
                f"{path}, line {number}, is no judged program ({type(error).__name__}: {error}). Give the "
                "programs.jsonl that `linewise coderl critic` wrote."
            ) from error
    return programs
