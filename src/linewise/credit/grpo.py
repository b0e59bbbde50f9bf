"""GRPO: group-relative policy optimisation (Shao et al. 2024, arXiv:2402.03300, section 4.1.2).

    A_i = (R_i - mu) / (sd + eps)      with the group's mean mu and its standard deviation sd

Equal returns, and a program alone in its group, give zeros. Also the credit of GSPO (Zheng et al. 2025, arXiv:2507.18071,
eq. 6) and of CISPO (MiniMax 2025, arXiv:2506.13585, eq. 2): these differ in the loss alone. Deviations:

1. sd divides by G - 1 (Bessel), as the two implementations in use do; the paper does not say.
2. eps, which the paper does not have: 1e-4 in TRL, 1e-6 in verl and here.
3. The paper's KL to the reference is a term of the loss; `reward.kl_coef` offers it inside the return as well.
"""

from dataclasses import dataclass

import numpy as np

from linewise.credit.group import GroupBaseline, Returns, group_credit
from linewise.credit.reward import TokenReward
from linewise.types import Credit, Group, Need


def inverse_deviation(returns: Returns, eps: float) -> float:
    """1 / (sd + eps) of returns [G]; 1 / eps for fewer than two. Example: returns (1, 0), eps 0: sd = sqrt(1/2), so 1.41."""
    deviation = float(np.std(returns, ddof=1)) if len(returns) > 1 else 0.0
    return 1 / (deviation + eps)


@dataclass(frozen=True, kw_only=True)
class GRPO:
    """A_i = (R_i - mu) / (sd + eps)."""

    reward: TokenReward = TokenReward()
    """R_i is the sum of these."""
    eps: float = 1e-6
    """Keeps the quotient finite; larger ones damp groups whose returns are almost equal."""

    @property
    def needs(self) -> frozenset[Need]:
        """What the reward needs."""
        return self.reward.needs

    def __call__(self, group: Group) -> list[Credit]:
        """A_i of each program, with the parts of the reward as terms."""
        rewards = self.reward.of_group(group)
        return group_credit(rewards, GroupBaseline.MEAN, scale=lambda returns: inverse_deviation(returns, self.eps))
