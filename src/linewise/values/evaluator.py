"""Line values from a learned evaluator of unfinished programs: a process reward model read as a probability.

    V(s_m) = (R_phi(x, y^(1..m)) + 1) / 2,      V(s_0) = 1/2

It costs one forward pass where `values/monte_carlo.py` samples K completions of every line. The model is not trained at the
prompt's end, so s_0 has the value of a model that knows nothing: the same for all programs of a task.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from linewise.prm.rank import LineJudge
from linewise.types import LineScore, Rollout
from linewise.values.monte_carlo import Valuation


@dataclass(frozen=True, kw_only=True)
class EvaluatorValues:
    """V of every line's state from a process reward model's scores."""

    scorer: LineJudge

    def __call__(
        self, rollouts: Sequence[Rollout], *, purpose: str, progress: Callable[[int], None] | None = None
    ) -> Valuation:
        """The values of each program's states, in order, from 0 to 1. Nothing is sampled, so `purpose` changes nothing."""
        return Valuation(
            values=tuple(
                (LineScore(line=0, score=0.5), *(LineScore(line=one.line, score=(one.score + 1) / 2) for one in scores))
                for scores in self.scorer(rollouts)
            ),
            num_programs=0,
            num_tokens=0,
            num_verdicts=0,
        )
