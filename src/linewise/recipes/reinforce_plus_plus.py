"""REINFORCE++ (Hu et al. 2025, arXiv:2501.03262), with and without the group's mean as baseline.

Deviations:

B1. 64 programs a step instead of 1024; learning rate 2e-5 instead of 5e-7.
B2. Two updates a step, so that the clip can act.
B3. The baseline variant's KL stands in the loss as k2, as the paper's second version has it; the coefficients are its own.
"""

from linewise.credit.group import GroupBaseline
from linewise.credit.reinforce_plus_plus import ReinforcePlusPlus
from linewise.credit.reward import TokenReward
from linewise.losses.aggregate import Aggregation
from linewise.losses.options import KlLossOptions, SurrogateOptions
from linewise.recipes.on_policy import LEARNING_RATE, on_policy
from linewise.training.config import Recipe, UpdateOptions
from linewise.types import KlEstimator


def reinforce_plus_plus() -> Recipe[ReinforcePlusPlus]:
    """REINFORCE++: rewards-to-go with KL in the reward, whitened over the batch (arXiv:2501.03262)."""
    return on_policy(
        ReinforcePlusPlus(reward=TokenReward(kl_coef=0.01)),
        tasks_per_step=16,
        num_samples=4,
        update=UpdateOptions(
            samples_per_step=64,  # (B1)
            minibatches=2,  # (B2)
            learning_rate=LEARNING_RATE,  # (B1)
            weight_decay=0.0,
            aggregation=Aggregation.TOKEN_MEAN,
            surrogate=SurrogateOptions(clip_low=0.2, clip_high=0.2),
            whiten=True,
            tokens_per_micro_batch=1024,
        ),
    )


def reinforce_plus_plus_baseline() -> Recipe[ReinforcePlusPlus]:
    """REINFORCE++-baseline: minus the group's mean, whitened over the batch (arXiv:2501.03262)."""
    return on_policy(
        ReinforcePlusPlus(baseline=GroupBaseline.MEAN),
        update=UpdateOptions(
            samples_per_step=64,  # (B1)
            minibatches=2,  # (B2)
            learning_rate=LEARNING_RATE,  # (B1)
            weight_decay=0.0,
            aggregation=Aggregation.TOKEN_MEAN,
            surrogate=SurrogateOptions(clip_low=0.2, clip_high=0.2),
            kl=KlLossOptions(coef=0.01, estimator=KlEstimator.K2),  # (B3)
            whiten=True,
            tokens_per_micro_batch=1024,
        ),
    )
