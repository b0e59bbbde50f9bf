"""Best-of-N: from the scores of a program's lines to one number, by which the programs of a task are ranked. Torch-free.

Dai et al. (arXiv:2410.17621, section 4.3) choose among K programs with the process reward model and do not say how line
scores are aggregated; the three common ways are here, the mean being the default.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from linewise.rollout.lines import LINE_END
from linewise.rollout.neutral import neutral_lines
from linewise.types import LineScore, Rollout


class LineAggregation(StrEnum):
    """How line scores become the score of a program."""

    MEAN = "mean"
    """Mean over the lines: how much of the program is sound."""
    MIN = "min"
    """The worst line: a program is as good as its worst step."""
    LAST = "last"
    """The last line: the score of the whole program, as R_phi(x, y^(1..T)) estimates whether it passes."""


class LineJudge(Protocol):
    """Something that scores the lines of sampled programs."""

    def __call__(self, rollouts: Sequence[Rollout]) -> list[tuple[LineScore, ...]]:
        """The scores of each program's sampled lines, sorted by line."""


@dataclass(frozen=True, kw_only=True)
class PrmRanker:
    """Values programs by their line scores; the highest is the best."""

    scorer: LineJudge
    aggregation: LineAggregation = LineAggregation.MEAN

    def __call__(self, rollouts: Sequence[Rollout]) -> list[float]:
        """One value for each program, in order."""
        return [
            program_score(scores, code_lines(rollout.program.source), self.aggregation)
            for rollout, scores in zip(rollouts, self.scorer(rollouts), strict=True)
        ]


def program_score(scores: Sequence[LineScore], code: frozenset[int], aggregation: LineAggregation) -> float:
    """The program's value: an aggregate of its lines of code; -1, the worst, for a program without one.

    Neutral lines are left out: their scores near 0 would pull every mean to 0, the more the more comments there are.
    Example: scores 1, 0 (a comment), -1/2 give the mean 1/4, the minimum -1/2, the last -1/2.
    """
    values = [one.score for one in scores if one.line in code]
    if not values:
        return -1.0
    match aggregation:
        case LineAggregation.MEAN:
            return sum(values) / len(values)
        case LineAggregation.MIN:
            return min(values)
        case _:
            return values[-1]


def code_lines(source: str) -> frozenset[int]:
    """Lines that do something: all but those of `neutral_lines`."""
    return frozenset(range(1, len(LINE_END.split(source)) + 1)) - neutral_lines(source)
