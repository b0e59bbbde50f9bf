"""Dr. GRPO: GRPO done right (Liu et al. 2025, arXiv:2503.20783, section 3.2).

    A_i = R_i - mu

Without the division by the standard deviation no task weighs more for being almost solved or almost hopeless; the other
half of the method is the aggregation `constant`, which weighs the tokens of short and of long programs alike. The
expected gradient is (G - 1)/G times the exact one (RLOO's factor G/(G-1) makes it whole).
"""

from dataclasses import dataclass

from linewise.credit.group import GroupBaseline, group_credit
from linewise.credit.reward import TokenReward
from linewise.types import Credit, Group, Need


@dataclass(frozen=True, kw_only=True)
class DrGRPO:
    """A_i = R_i - mu."""

    reward: TokenReward = TokenReward()
    """R_i is the sum of these; the paper uses no KL."""

    @property
    def needs(self) -> frozenset[Need]:
        """What the reward needs."""
        return self.reward.needs

    def __call__(self, group: Group) -> list[Credit]:
        """A_i of each program, with the parts of the reward as terms."""
        return group_credit(self.reward.of_group(group), GroupBaseline.MEAN)
