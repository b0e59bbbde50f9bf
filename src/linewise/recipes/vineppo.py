"""VinePPO (Kazemnejad et al. 2024, arXiv:2410.01679): PPO whose values are fresh completions from every line.

Deviations:

V1. 8 tasks x 4 programs a step instead of 64 x 8: K completions of every line cost ten times what the programs do.
V2. Learning rate 2e-5 instead of 1e-6.
V3. Steps are lines of code instead of sentences.
"""

from linewise.credit.reward import TokenReward
from linewise.credit.vineppo import VinePPO
from linewise.losses.aggregate import Aggregation
from linewise.losses.options import SurrogateOptions
from linewise.recipes.on_policy import LEARNING_RATE, on_policy
from linewise.training.config import Recipe, UpdateOptions


def vineppo() -> Recipe[VinePPO]:
    """VinePPO: line values by Monte Carlo instead of a critic (arXiv:2410.01679)."""
    return on_policy(
        VinePPO(reward=TokenReward(kl_coef=1e-4)),  # paper: 1e-4
        tasks_per_step=8,
        num_samples=4,  # paper: 8 (V1)
        update=UpdateOptions(
            samples_per_step=32,  # paper: 512 (V1)
            epochs=2,  # paper: 2
            learning_rate=LEARNING_RATE,  # paper: 1e-6 (V2)
            weight_decay=0.0,
            aggregation=Aggregation.TOKEN_MEAN,
            surrogate=SurrogateOptions(clip_low=0.2, clip_high=0.2),  # paper: 0.2
            whiten=True,
            tokens_per_micro_batch=1024,
        ),
    )
