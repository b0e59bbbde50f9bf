"""TP-GRPO: GRPO with a judge of thoughts (arXiv:2507.23317; the formulas are from notes on the paper, not from its text).

A judge labels steps as good or bad; neighbours with the same label make one thought. With r^o, the program's standardised
outcome (GRPO's advantage), and r_c = alpha * (share of the group's programs that pass):

| program | good thought | bad thought |
|---|---|---|
| passes | r^o | r^o - r_c |
| fails | 0 | r^o |

A wrong program's right thoughts are not punished, and a right program's wrong thoughts are praised less, the more so the
easier the task is. Here steps are lines, and the labels are the signs of a process reward model's scores. Notes:

1. Since every token of a thought gets the thought's number, merging neighbours changes no number: it is left out.
2. A line that is neutral (blank, comment, docstring) joins the line after it, as do a header's remains; a score of exactly 0
   counts as good. Lines without a score and programs without a scored line are good throughout.
3. Where the whole group passes or fails, r^o is 0 and only the bad thoughts of passing programs have an advantage.
"""

from dataclasses import dataclass

import numpy as np

from linewise.credit.grpo import GRPO
from linewise.credit.reward import scores_of
from linewise.credit.steps import line_steps
from linewise.rollout.lines import Mask
from linewise.rollout.neutral import neutral_lines
from linewise.types import Credit, Floats, Group, Need, Rollout, Scores


def bad_tokens(rollout: Rollout, scores: Scores) -> Mask:
    """[T] True for the tokens of lines with a negative score."""
    assert scores.line_scores is not None, "the scores of the lines were asked for"
    neutral = neutral_lines(rollout.program.source)
    score = {one.line: one.score for one in scores.line_scores if one.line not in neutral}
    steps = line_steps(rollout, score)
    return steps.per_token([score[line] < 0 for line in steps.lines] or [False]) > 0


@dataclass(frozen=True, kw_only=True)
class TPGRPO:
    """GRPO's advantage, by the label of each line."""

    grpo: GRPO = GRPO()
    """r^o."""
    alpha: float = 0.5
    """Weight of r_c; ours, for lack of the paper's."""

    @property
    def needs(self) -> frozenset[Need]:
        """The scores of the lines, and what GRPO needs."""
        return self.grpo.needs | {Need.LINE_SCORES}

    def __call__(self, group: Group) -> list[Credit]:
        """The table's numbers; the terms are GRPO's and `thoughts`, what the labels change."""
        accuracy = float(np.mean([rollout.report.passed for rollout in group.rollouts]))
        return [
            self._credit(outcome, rollout, scores, self.alpha * accuracy)
            for outcome, rollout, scores in zip(self.grpo(group), group.rollouts, scores_of(group), strict=True)
        ]

    def _credit(self, outcome: Credit, rollout: Rollout, scores: Scores, cost: float) -> Credit:
        bad = bad_tokens(rollout, scores)
        change = np.where(bad, -cost, 0.0) if rollout.report.passed else np.where(bad, 0.0, -outcome.advantages)
        thoughts: Floats = change.astype(np.float32)
        return Credit(
            rewards=outcome.rewards,
            advantages=outcome.advantages + thoughts,
            weights=outcome.weights,
            terms={**outcome.terms, "thoughts": thoughts},
        )
