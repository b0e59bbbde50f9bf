"""StepCoder (Dou et al. 2024, arXiv:2402.01391): PPO whose loss sees only the lines that ran (FGO).

Deviations:

S1. The numbers of updates and rates are those of `recipes/ppo.py` (P1 to P3).
S2. The curriculum of code completion sub-tasks (CCCS) is a switch of the collection, not part of this recipe's default.
"""

from linewise.credit.fgo import FGO
from linewise.credit.ppo import PPO
from linewise.credit.reward import OutcomeReward, TokenReward
from linewise.recipes.on_policy import on_policy
from linewise.recipes.ppo import CRITIC_LEARNING_RATE, ppo_update
from linewise.training.config import CriticOptions, Recipe


def stepcoder() -> Recipe[FGO[PPO]]:
    """StepCoder: PPO with loss only on the lines that the tests ran (arXiv:2402.01391)."""
    return on_policy(
        FGO(inner=PPO(reward=TokenReward(outcome=OutcomeReward.COARSE, kl_coef=0.01))),  # paper: +1, -.3, -.6, -1
        tasks_per_step=16,
        num_samples=4,
        update=ppo_update(),
        critic=CriticOptions(learning_rate=CRITIC_LEARNING_RATE, warmup_steps=2),
    )
