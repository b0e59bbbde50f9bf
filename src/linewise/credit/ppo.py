"""PPO's credit: GAE with a learned critic (Schulman et al. 2017, arXiv:1707.06347, eq. 11; RLHF: arXiv:2203.02155).

    r_t = 1[t last] * R(W) - kl_coef * kl_t,      A_t = GAE(r, V; gamma, lambda)_t,      returns_t = A_t + V_t

The critic's V(s_t) is what it expects before token t is drawn. GAE is linear, so each part of the reward has its own term,
and the values have the term `values`, which takes away what was expected anyhow.
"""

from dataclasses import dataclass

import numpy as np

from linewise.credit.gae import gae
from linewise.credit.reward import Parts, TokenReward, scores_of, total
from linewise.types import Credit, Floats, Group, Need, Scores


@dataclass(frozen=True, kw_only=True)
class PPO:
    """GAE over the tokens of each program. A critic must learn `returns`."""

    reward: TokenReward = TokenReward()
    """r_t."""
    gamma: float = 1.0
    """Discount per token; a program that needs more tokens is not worse."""
    gae_lambda: float = 0.95
    """1 trusts the rewards alone (no bias), 0 the critic alone (least variance)."""

    @property
    def needs(self) -> frozenset[Need]:
        """The critic's values, and what the reward needs."""
        return self.reward.needs | {Need.VALUES}

    def __call__(self, group: Group) -> list[Credit]:
        """A_t and the critic's targets of each program; the terms are the parts of the reward, and `values`."""
        return [
            self.credit(self.reward.parts(rollout, scores), scores)
            for rollout, scores in zip(group.rollouts, scores_of(group), strict=True)
        ]

    def credit(self, parts: Parts, scores: Scores) -> Credit:
        """The credit of one program from the parts of its per-token rewards [T] and its values."""
        assert scores.values is not None, "the critic's values were asked for"
        rewards, values = total(parts), scores.values
        nothing = np.zeros_like(rewards)
        estimate = gae(rewards, values, gamma=self.gamma, gae_lambda=self.gae_lambda)
        terms: dict[str, Floats] = {
            name: gae(part, nothing, gamma=self.gamma, gae_lambda=self.gae_lambda).advantages
            for name, part in parts.items()
        }
        terms["values"] = gae(nothing, values, gamma=self.gamma, gae_lambda=self.gae_lambda).advantages
        return Credit(
            rewards=rewards,
            advantages=estimate.advantages,
            weights=np.ones_like(rewards),
            terms=terms,
            returns=estimate.returns,
        )
