"""PPO with a critic (Schulman et al. 2017, arXiv:1707.06347), from unit tests alone.

Also the first phase, and with other switches the last one, of process-supervision-guided policy optimisation
(`recipes/psgpo.py`). Deviations from RLHF's PPO (arXiv:2203.02155):

P1. 16 tasks x 4 programs a step, 2 passes of 2 minibatches, instead of 512 prompts.
P2. Actor 2e-5 and critic 1e-4 instead of 1e-6 and 5e-6: tens of updates of a small model instead of thousands of a large one.
P3. The critic starts from the policy with a head of zeros and learns alone in the first two steps.
"""

from linewise.credit.ppo import PPO
from linewise.credit.reward import TokenReward
from linewise.losses.aggregate import Aggregation
from linewise.losses.options import SurrogateOptions
from linewise.recipes.on_policy import LEARNING_RATE, on_policy
from linewise.training.config import CriticOptions, Recipe, UpdateOptions

CRITIC_LEARNING_RATE = 1e-4


def ppo_update() -> UpdateOptions:
    """The updates of PPO."""
    return UpdateOptions(
        samples_per_step=64,  # (P1)
        epochs=2,
        minibatches=2,
        learning_rate=LEARNING_RATE,  # (P2)
        weight_decay=0.0,
        aggregation=Aggregation.TOKEN_MEAN,
        surrogate=SurrogateOptions(clip_low=0.2, clip_high=0.2),  # paper: 0.2
        whiten=True,
        tokens_per_micro_batch=1024,
    )


def ppo() -> Recipe[PPO]:
    """PPO: GAE with a learned critic, clipped surrogate, KL in the reward (arXiv:1707.06347)."""
    return on_policy(
        PPO(reward=TokenReward(kl_coef=0.01), gae_lambda=0.95),
        tasks_per_step=16,
        num_samples=4,
        update=ppo_update(),
        critic=CriticOptions(learning_rate=CRITIC_LEARNING_RATE, warmup_steps=2),  # (P2, P3)
    )
