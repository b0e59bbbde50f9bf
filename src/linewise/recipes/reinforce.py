"""REINFORCE (Williams 1992) with the group's mean as baseline, and RLOO (Ahmadian et al. 2024, arXiv:2402.14740).

Deviations from RLOO's runs:

L1. 8 programs a task instead of 2 or 4; 64 programs a step instead of 256 and more.
L2. No KL in the reward (paper: 0.03 of it); `--credit.reward.kl-coef 0.03` gives it.
L3. One update a step on fresh samples, so there is no importance ratio to take.
"""

from linewise.credit.group import GroupBaseline
from linewise.credit.reinforce import Reinforce
from linewise.credit.rloo import RLOO
from linewise.losses.aggregate import Aggregation
from linewise.recipes.on_policy import LEARNING_RATE, on_policy
from linewise.training.config import Recipe, UpdateOptions


def reinforce() -> Recipe[Reinforce]:
    """REINFORCE: the outcome minus the group's mean on every token (Williams 1992)."""
    return on_policy(
        Reinforce(baseline=GroupBaseline.MEAN),
        update=UpdateOptions(
            samples_per_step=64,
            learning_rate=LEARNING_RATE,
            weight_decay=0.0,
            aggregation=Aggregation.SEQUENCE_SUM,  # the policy gradient's own: sum over tokens, mean over programs
            tokens_per_micro_batch=1024,
        ),
    )


def rloo() -> Recipe[RLOO]:
    """RLOO: the outcome minus the mean of the group's other programs (arXiv:2402.14740)."""
    return on_policy(
        RLOO(),
        update=UpdateOptions(
            samples_per_step=64,  # paper: 256 and more (L1)
            learning_rate=LEARNING_RATE,  # paper: 1e-6
            weight_decay=0.0,
            aggregation=Aggregation.SEQUENCE_SUM,  # paper: a completion is one action
            tokens_per_micro_batch=1024,
        ),
    )
