"""IRCoCo: immediate rewards from an evaluator of unfinished programs (Li et al. 2024, arXiv:2401.16637, section 3).

    r_i = V(s_{i+1}) - V(s_i)      at all tokens of the line that leads from s_i to s_{i+1}

with V the evaluator's forecast of the whole program's outcome from a prefix. The reward of a step is its factor in the
loss: there is no return, no critic and no outcome but the evaluator's last word. Over the lines the rewards sum to
V(whole program) - V(prompt). Deviations:

1. A step is a line here and a token there.
2. The released loss uses the absolute value V(s_{i+1}) itself (`ImmediateReward.ABSOLUTE`): every line of a promising program
   is then praised, whatever it adds, and the estimate varies far more.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

import numpy as np

from linewise.credit.reward import scores_of
from linewise.credit.steps import valued_steps
from linewise.types import Credit, Group, Need, Rollout, Scores


class ImmediateReward(StrEnum):
    """The reward of a line."""

    DIFFERENCE = "difference"
    """What it changed: V(s_{i+1}) - V(s_i)."""
    ABSOLUTE = "absolute"
    """Where it led: V(s_{i+1})."""


@dataclass(frozen=True, kw_only=True)
class IRCoCo:
    """The change of an evaluator's forecast, line by line."""

    form: ImmediateReward = ImmediateReward.DIFFERENCE
    """How values become rewards."""
    needs: ClassVar[frozenset[Need]] = frozenset((Need.LINE_VALUES,))

    def __call__(self, group: Group) -> list[Credit]:
        """r_i of each program, as rewards and as advantages at every token of the line."""
        return [self._credit(rollout, scores) for rollout, scores in zip(group.rollouts, scores_of(group), strict=True)]

    def _credit(self, rollout: Rollout, scores: Scores) -> Credit:
        valued = valued_steps(rollout, scores.line_values)
        match self.form:
            case ImmediateReward.DIFFERENCE:
                numbers = valued.values - valued.before
            case ImmediateReward.ABSOLUTE:
                numbers = valued.values
        rewards = valued.steps.per_token(numbers.tolist())
        return Credit(rewards=rewards, advantages=rewards, weights=np.ones_like(rewards), terms={"immediate": rewards})
