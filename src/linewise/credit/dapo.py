"""DAPO (Yu et al. 2025, arXiv:2503.14476): GRPO's advantage over a return with a soft penalty on overlong answers.

    R_i = R(W_i) + min(-(len_i - (Lmax - Lc)) / Lc, 0)      (eq. 13; -1 at the maximum length Lmax)

What else makes the method lies elsewhere: clip-higher and the mean over all tokens in the loss, and groups whose outcomes
are all equal are dropped where samples are drawn (`group.is_constant`, eq. 11); here they give zeros but for the penalty.

Deviation: `Lmax` and `Lc` are a laptop's here; the paper's are 20480 and 4096 tokens, the same share.
"""

from dataclasses import dataclass

import numpy as np

from linewise.credit.group import GroupBaseline, group_credit
from linewise.credit.grpo import inverse_deviation
from linewise.credit.reward import OutcomeReward, TokenReward
from linewise.errors import UserError
from linewise.types import Credit, Floats, Group, Need


def overlong_penalty(length: int, *, max_length: int, cache_length: int) -> float:
    """The soft punishment of a completion of this many tokens, in [-1, 0] (eq. 13).

    Example: Lmax 20, Lc 4: lengths 16, 18, 20 and 25 give 0, -0.5, -1 and -1.
    """
    return max(min(-(length - (max_length - cache_length)) / cache_length, 0.0), -1.0)


@dataclass(frozen=True, kw_only=True)
class DAPO:
    """GRPO's advantage of the outcome plus the overlong penalty."""

    reward: TokenReward = TokenReward(outcome=OutcomeReward.SIGNED)
    """R(W); the paper's is +1 or -1, against which the penalty has its weight, without a KL."""
    max_length: int = 256
    """Lmax, the most tokens that are sampled: give it the recipe's `max_new_tokens`."""
    cache_length: int = 51
    """Lc, the last tokens before Lmax, over which the penalty grows from 0 to -1."""
    eps: float = 1e-6
    """As in GRPO."""

    def __post_init__(self) -> None:
        if not 0 < self.cache_length <= self.max_length:
            raise UserError(
                f"cache_length is {self.cache_length}, but the penalty grows over 1 to max_length = {self.max_length} "
                "tokens; the paper takes a fifth of max_length."
            )

    @property
    def needs(self) -> frozenset[Need]:
        """What the reward needs."""
        return self.reward.needs

    def __call__(self, group: Group) -> list[Credit]:
        """A_i of each program, with the parts of the reward and `overlong` as terms."""
        rewards = [
            {**parts, "overlong": self._overlong(len(parts["outcome"]))} for parts in self.reward.of_group(group)
        ]
        return group_credit(rewards, GroupBaseline.MEAN, scale=lambda returns: inverse_deviation(returns, self.eps))

    def _overlong(self, length: int) -> Floats:
        penalty = np.zeros(length, dtype=np.float32)
        penalty[-1:] = overlong_penalty(length, max_length=self.max_length, cache_length=self.cache_length)
        return penalty
