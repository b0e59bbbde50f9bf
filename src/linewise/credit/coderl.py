"""CodeRL's actor (Le et al. 2022, arXiv:2207.01780, section 3.2, eq. 5 and 9).

    A_t = q_t * (r(W) - r(W_b))

r is +1 all tests pass, -0.3 a test fails, -0.6 a runtime error, -1 a syntax error (eq. 4). W_b is a greedy decode of the
task, the group's base program. q_t is a frozen critic's probability of the program's true outcome after token t: where the
critic sees the outcome coming, the token is taken to have caused it. Deviations:

1. Without a base program the reward is compared with 0, as by the option `baseline=False`, the paper's ablation.
2. The token that ends the program has its q_t as well.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from linewise.credit.reward import scores_of
from linewise.credit.rltf import coarse_reward
from linewise.types import Credit, Floats, Group, Need, Rollout, Scores


@dataclass(frozen=True, kw_only=True)
class CodeRL:
    """A_t = q_t * (r(W) - r(W_b)); the recipe must ask collection for the greedy base program."""

    baseline: bool = True
    """Compare with the greedy program W_b."""
    needs: ClassVar[frozenset[Need]] = frozenset((Need.OUTCOME_PROBS,))

    def __call__(self, group: Group) -> list[Credit]:
        """A_t of each program; the terms are `outcome`, q_t r(W), and `baseline`, -q_t r(W_b)."""
        base = coarse_reward(group.baseline) if self.baseline and group.baseline is not None else 0.0
        return [
            self._credit(rollout, scores, base)
            for rollout, scores in zip(group.rollouts, scores_of(group), strict=True)
        ]

    def _credit(self, rollout: Rollout, scores: Scores, base: float) -> Credit:
        assert scores.outcome_probs is not None, "the outcome critic's probabilities were asked for"
        probs = scores.outcome_probs
        assert probs.shape == (len(rollout.completion.token_ids),), "one probability for each token"
        terms: dict[str, Floats] = {"outcome": coarse_reward(rollout.report) * probs, "baseline": -base * probs}
        return Credit(
            rewards=terms["outcome"],
            advantages=terms["outcome"] + terms["baseline"],
            weights=np.ones_like(probs),
            terms=terms,
        )
