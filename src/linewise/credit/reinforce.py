"""REINFORCE with a baseline (Williams 1992, "Simple statistical gradient-following algorithms", section 2).

    A_i = R_i - b_i      at every token of program i

Without a baseline the gradient estimate is unbiased and noisy. With the mean of the others it is unbiased still; with the
group's mean, the program's own return included, it is (G - 1)/G times that.
"""

from dataclasses import dataclass

from linewise.credit.group import GroupBaseline, group_credit
from linewise.credit.reward import TokenReward
from linewise.types import Credit, Group, Need


@dataclass(frozen=True, kw_only=True)
class Reinforce:
    """A_i = R_i - b_i."""

    reward: TokenReward = TokenReward()
    """R_i is the sum of these."""
    baseline: GroupBaseline = GroupBaseline.NONE
    """b_i."""

    @property
    def needs(self) -> frozenset[Need]:
        """What the reward needs."""
        return self.reward.needs

    def __call__(self, group: Group) -> list[Credit]:
        """A_i of each program, with the parts of the reward as terms."""
        return group_credit(self.reward.of_group(group), self.baseline)
