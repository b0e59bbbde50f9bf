r"""From labelled programs to training sequences: a target at the last token of each line.

Section 3.3 of arXiv:2410.17621 reads R_phi(x, y^(1..m)) at the last token of line m. That token is found by character
offsets on the policy's own tokens. Deviation: where one token ends several lines ("\n\n" ends a statement and the blank
line after it), only its non-neutral lines keep their targets, for the token has one score and the statement needs it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import numpy as np

from linewise.prm.labels import LabelledProgram
from linewise.rollout.lines import line_end_tokens
from linewise.types import Completion, Program


class HasTask(Protocol):
    """An example of some task."""

    @property
    def task_id(self) -> str:
        """The task that its program is for."""


ExampleT = TypeVar("ExampleT", bound=HasTask)


@dataclass(frozen=True, kw_only=True)
class LinePlace:
    """Where the score of a line is read."""

    line: int
    """1-based line of the program."""
    position: int
    """Index into prompt + completion of the line's last token."""


@dataclass(frozen=True, kw_only=True)
class LineTarget:
    """What the score of a line should be."""

    line: int
    position: int
    """Index into `PrmExample.token_ids`."""
    label: int
    """-1, 0 or 1."""


@dataclass(frozen=True, kw_only=True)
class PrmExample:
    """One sequence with its targets.

    Example: prompt ids `(5, 6)`, tokens `(7, 8, 9)` with lines that end at tokens 0 and 2, the second one wrong:
    `token_ids (5, 6, 7, 8, 9)` and targets at positions 2 (+1) and 4 (-1).
    """

    task_id: str
    token_ids: tuple[int, ...]
    """Prompt and completion, exactly as sampled."""
    targets: tuple[LineTarget, ...]


@dataclass(frozen=True, kw_only=True)
class Split(Generic[ExampleT]):
    """Examples divided by task: no task is on both sides."""

    train: tuple[ExampleT, ...]
    held_out: tuple[ExampleT, ...]


def line_places(completion: Completion, program: Program) -> tuple[LinePlace, ...]:
    """Where the scores of a program's lines are read, sorted by line; lines of the prompt have none."""
    offset = len(completion.prompt_ids)
    return tuple(LinePlace(line=end.line, position=offset + end.token) for end in line_end_tokens(completion, program))


def line_targets(places: Sequence[LinePlace], labels: Mapping[int, int]) -> tuple[LineTarget, ...]:
    """The targets of the labelled lines; a neutral line gives way to a statement that ends at the same token."""
    decided = {place.position for place in places if labels.get(place.line, 0) != 0}
    return tuple(
        LineTarget(line=place.line, position=place.position, label=labels[place.line])
        for place in places
        if place.line in labels and (labels[place.line] != 0 or place.position not in decided)
    )


def example_of(labelled: LabelledProgram) -> PrmExample:
    """The training sequence of a labelled program."""
    completion = labelled.completion
    labels = dict(enumerate(labelled.labels, start=labelled.first_line))
    return PrmExample(
        task_id=labelled.task_id,
        token_ids=completion.prompt_ids + completion.token_ids,
        targets=line_targets(line_places(completion, labelled.program), labels),
    )


def split_by_task(examples: Sequence[ExampleT], *, held_out_share: float, seed: int) -> Split[ExampleT]:
    """Hold out a share of the *tasks*, drawn by the seed: programs of one task are too alike to be on both sides.

    With two tasks or more at least one stands on either side. Example: 10 tasks and a share of 0.1 hold out 1 task.
    """
    tasks = sorted({example.task_id for example in examples})
    count = min(max(1, round(held_out_share * len(tasks))), len(tasks) - 1)
    drawn = np.random.default_rng([seed, 0x5B117]).permutation(len(tasks))[:count]
    held_out = {tasks[index] for index in drawn.tolist()}
    return Split(
        train=tuple(example for example in examples if example.task_id not in held_out),
        held_out=tuple(example for example in examples if example.task_id in held_out),
    )
