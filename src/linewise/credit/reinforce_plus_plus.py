"""REINFORCE++ (Hu et al. 2025, arXiv:2501.03262).

    A_t = sum_{t' >= t} r_t',      r_t = 1[t last] * (R(W) - b) - kl_coef * kl_t

and the advantages are whitened over all tokens of the drawn batch, which a single group cannot do: **the recipe must ask
the update for it**. With the baseline `MEAN`, the group's mean outcome, this is the paper's "REINFORCE++-baseline".
Deviations:

1. With the baseline, the paper puts the KL into the loss (k2) and not into the return; so does `kl_coef` 0.
2. The baseline is that of the outcomes alone; KL costs are compared with nothing.
3. What stands before tokens that the policy did not write keeps its return (`credit/gae.py`); verl's gives it 0.
"""

from dataclasses import dataclass

import numpy as np

from linewise.credit.gae import rewards_to_go
from linewise.credit.group import GroupBaseline, baselines
from linewise.credit.reward import Parts, TokenReward, total
from linewise.credit.rltf import sum_terms
from linewise.types import Credit, Floats, Group, Need


@dataclass(frozen=True, kw_only=True)
class ReinforcePlusPlus:
    """Return-to-go of the outcome minus the KL cost; to be whitened over the batch."""

    reward: TokenReward = TokenReward()
    """r_t; the paper's KL estimator is k1."""
    gamma: float = 1.0
    """Discount per token; the paper's is 1."""
    baseline: GroupBaseline = GroupBaseline.NONE
    """b."""

    @property
    def needs(self) -> frozenset[Need]:
        """What the reward needs."""
        return self.reward.needs

    def __call__(self, group: Group) -> list[Credit]:
        """A_t of each program, with the parts of the reward as terms."""
        rewards = self.reward.of_group(group)
        outcomes = np.array([parts["outcome"].sum(dtype=np.float64) for parts in rewards])
        compared = baselines(outcomes, self.baseline)
        return [self._credit(parts, float(base)) for parts, base in zip(rewards, compared, strict=True)]

    def _credit(self, parts: Parts, base: float) -> Credit:
        against = dict(parts)
        against["outcome"] = parts["outcome"].copy()
        against["outcome"][-1:] -= base
        terms: dict[str, Floats] = {name: rewards_to_go(part, gamma=self.gamma) for name, part in against.items()}
        rewards = total(parts)
        return Credit(
            rewards=rewards,
            advantages=sum_terms(terms, len(rewards)),
            weights=np.ones_like(rewards),
            terms=terms,
        )
