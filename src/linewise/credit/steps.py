r"""The lines of a program as the steps of a trajectory, and the tokens of each: what the line-level values speak of.

Each sampled token belongs to exactly one step, so that a number for each step is a number for each token:

1. A token inside the program belongs to the step of its line (`rollout/lines.py`). A line that is no step, or whose
   characters all lie in tokens of other lines (a blank one: `"\n\n    "`), is joined to the next step, or to the last.
2. Tokens after the program (closing fence, end of sequence) belong to the last step: they end the program.
3. Tokens before it (prose of a free answer) belong to the first step: they lead from the prompt to its state.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from linewise.rollout.lines import token_lines
from linewise.types import Floats, LineScore, Rollout


@dataclass(frozen=True, kw_only=True)
class LineSteps:
    """The steps of one completion."""

    lines: tuple[int, ...]
    """1-based line at whose end each step ends, ascending; empty for a program without a sampled line."""
    step_of_token: npt.NDArray[np.int64]
    """[T] 0-based step of each token; all 0 where there are no steps."""

    def per_token(self, numbers: Sequence[float]) -> Floats:
        """[T] each token gets the number of its step."""
        return np.asarray(numbers, dtype=np.float64)[self.step_of_token].astype(np.float32)

    def sums(self, numbers: Floats) -> npt.NDArray[np.float64]:
        """The sum of the tokens' numbers [T] over each step; over all tokens where there are no steps."""
        summed = np.zeros(max(len(self.lines), 1))
        np.add.at(summed, self.step_of_token, numbers)
        return summed


def line_steps(rollout: Rollout, lines: Collection[int]) -> LineSteps:
    """The steps of a rollout that end at these 1-based lines, as far as a token belongs to them.

    Example: tokens of the lines (2, 2, 3, 4, 0) and steps at 2 and 4: steps (0, 0, 1, 1, 1) that end at lines (2, 4).
    """
    of_token = token_lines(rollout.completion, rollout.program)
    steps = np.array(sorted(set(lines) & set(of_token.tolist()) - {0}), dtype=np.int64)
    last = max(len(steps) - 1, 0)
    inside = np.flatnonzero(of_token)
    place = np.minimum(np.searchsorted(steps, of_token), last)
    if len(inside):
        outside = of_token == 0
        place = np.where(outside & (np.arange(len(of_token)) > inside[0]), last, place)
    return LineSteps(lines=tuple(steps.tolist()), step_of_token=place)


@dataclass(frozen=True, kw_only=True)
class ValuedSteps:
    """The steps of one completion with the values of the states that they lead to."""

    steps: LineSteps
    start: float
    """V(s_0): of the prompt alone."""
    values: npt.NDArray[np.float64]
    """V after each step; the start's for a program without a sampled line."""

    @property
    def before(self) -> npt.NDArray[np.float64]:
        """V before each step."""
        return np.concatenate(([self.start], self.values[:-1]))


def valued_steps(rollout: Rollout, line_values: Sequence[LineScore] | None) -> ValuedSteps:
    """The steps of a rollout at its valued lines. A line without a token of its own leaves its change to the next step."""
    assert line_values is not None, "the values of the lines were asked for"
    value = {score.line: score.score for score in line_values}
    assert 0 in value, "line 0 holds the value of the prompt alone"
    steps = line_steps(rollout, value)
    values = np.array([value[line] for line in steps.lines or (0,)], dtype=np.float64)
    return ValuedSteps(steps=steps, start=value[0], values=values)
