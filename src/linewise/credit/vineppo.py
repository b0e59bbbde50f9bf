"""VinePPO: values by fresh completions instead of a critic (Kazemnejad et al. 2024, arXiv:2410.01679, section 4).

    V(s_i) = mean outcome of K completions that go on after line i,      V(terminal) = 0

    A = r_i + V(s_{i+1}) - V(s_i)      at all tokens of the line that leads from s_i to s_{i+1}

s_0 is the prompt alone. r_i is the sum of the rewards of the line's tokens; the last line ends the program, so its reward
is the outcome. It is GAE at lambda = 0 over line ends. Since the V are unbiased, so is the gradient, and its variance
falls as K grows. Over the lines the advantages sum to the program's reward minus V(s_0). Notes:

1. The paper's steps are sentences of a mathematical proof; here they are lines. K is 9 there, of 8 programs a task.
2. Tokens that are no line's own have the step that `credit/steps.py` gives them; the value after the last line is not
   used, since nothing but the end follows.
3. The paper whitens advantages over the batch: the recipe must ask the update for it.
"""

from dataclasses import dataclass

import numpy as np

from linewise.credit.reward import TokenReward, scores_of, total
from linewise.credit.steps import valued_steps
from linewise.types import Credit, Group, Need, Rollout, Scores


@dataclass(frozen=True, kw_only=True)
class VinePPO:
    """A = r_i + V(s_{i+1}) - V(s_i)."""

    reward: TokenReward = TokenReward()
    """r; its outcome must be the one that the values are means of."""

    @property
    def needs(self) -> frozenset[Need]:
        """The values of the lines, and what the reward needs."""
        return self.reward.needs | {Need.LINE_VALUES}

    def __call__(self, group: Group) -> list[Credit]:
        """A of each program; the terms are the parts of the reward, and `values`, the change of V."""
        return [self._credit(rollout, scores) for rollout, scores in zip(group.rollouts, scores_of(group), strict=True)]

    def _credit(self, rollout: Rollout, scores: Scores) -> Credit:
        valued, parts = valued_steps(rollout, scores.line_values), self.reward.parts(rollout, scores)
        after = np.append(valued.values[:-1], 0.0)
        terms = {name: valued.steps.per_token(valued.steps.sums(part).tolist()) for name, part in parts.items()}
        terms["values"] = valued.steps.per_token((after - valued.before).tolist())
        rewards = total(parts)
        return Credit(rewards=rewards, advantages=total(terms), weights=np.ones_like(rewards), terms=terms)
