"""RLOO: REINFORCE with a leave-one-out baseline (Kool et al. 2019; Ahmadian et al. 2024, arXiv:2402.14740, section 3.3).

    A_i = R_i - 1/(G-1) sum_{j != i} R_j  =  G/(G-1) (R_i - mu)

The others' returns are independent of program i, so the expected gradient is the exact policy gradient. A program alone
in its group is compared with 0, which has no bias either. TRL pairs it with the ratio of whole sequences.
"""

from dataclasses import dataclass

from linewise.credit.group import GroupBaseline, group_credit
from linewise.credit.reward import TokenReward
from linewise.types import Credit, Group, Need


@dataclass(frozen=True, kw_only=True)
class RLOO:
    """A_i = R_i - the mean of the others."""

    reward: TokenReward = TokenReward()
    """R_i is the sum of these; in the paper with a KL cost inside."""

    @property
    def needs(self) -> frozenset[Need]:
        """What the reward needs."""
        return self.reward.needs

    def __call__(self, group: Group) -> list[Credit]:
        """A_i of each program, with the parts of the reward as terms."""
        return group_credit(self.reward.of_group(group), GroupBaseline.OTHERS)
