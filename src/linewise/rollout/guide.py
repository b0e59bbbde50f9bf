r"""Roll-in: the first lines of a task's reference solution are given, and the policy writes the rest.

    y = y*_{1..c}  y_{c+1..T},    y_{c+1..T} ~ pi(. | x, y*_{1..c})

x is the prompt and y* the reference, tokenised once. The given tokens are a part of the prompt as the policy reads it
(`Completion.prompt_ids`), so they bear no loss and enter no ratio, while the program that is judged is the whole y.

Lines are cut where tokens end. In most vocabularies a line end and the indentation after it are one token, and then the
indentation of the next line is given as well: nothing that the policy draws is constrained, and its gradient is exact.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from linewise.rollout.lines import line_starts
from linewise.types import Beginning


@dataclass(frozen=True, kw_only=True)
class Guide:
    r"""The reference of one task as an answer to its prompt.

    Example: after the header `def f(a):` the text `"\n    b = a\n    return b"` has two lines.
    """

    text: str
    """What comes after the prompt, up to the end of the program."""
    token_ids: tuple[int, ...]
    char_spans: tuple[tuple[int, int], ...]
    """[T] characters of `text` that each token wrote."""
    conditionals: tuple[int, ...] = ()
    """Numbers of lines before each conditional statement, ascending; 0 is left out."""

    @property
    def num_lines(self) -> int:
        """Lines of the reference after the prompt."""
        return len(line_starts(self.text)) - 1

    @property
    def most_lines(self) -> int:
        """Most lines that can be given, so that one is left to write."""
        return max(0, self.num_lines - 1)

    def begin(self, num_lines: int) -> Beginning | None:
        """The answer begun with the first lines, at most all but the last; None where nothing is given.

        The cut is after the token that begins the next line; a token that writes some of that line's code is left out,
        and what it writes of the line before it with it.
        """
        num_lines = min(num_lines, self.most_lines)
        if num_lines <= 0:
            return None
        start = line_starts(self.text)[num_lines + 1]  # the text's first line is the end of the prompt's last
        count = next(index for index, (_, end) in enumerate(self.char_spans, start=1) if end >= start)
        if self.text[start : self.char_spans[count - 1][1]].strip():
            count -= 1
        if not count:
            return None
        return Beginning(
            text=self.text[: self.char_spans[count - 1][1]], token_ids=self.token_ids[:count], ends_line=False
        )


@dataclass(frozen=True, kw_only=True)
class Stage:
    """How far a curriculum has come, for one task or for all."""

    index: int = 0
    """Times that the beginning has been shortened."""
    recent: tuple[float, ...] = ()
    """Success rates since then, in [0, 1], oldest first."""
    best: float | None = None
    """Best moving average of an earlier stage or time, where the curriculum compares with one."""


Stages = Mapping[str, Stage]
"""Name -> stage: a task's id, or one name for all tasks. A name that is missing has the first stage."""


class Curriculum(Protocol):
    """Decides how many lines of each task's reference are given."""

    def num_lines(self, task_id: str, stages: Stages, rng: np.random.Generator) -> int:
        """Lines to give in one visit of a task; 0 gives nothing, which is the original task."""

    def after(self, stages: Stages, successes: Mapping[str, Sequence[float]]) -> dict[str, Stage]:
        """The stages after some visits: task id -> the share of programs that passed, visit by visit. A pure function."""
