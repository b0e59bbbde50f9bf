"""GRPO and its kin: one credit, five switches (advantage, ratio level, clip, aggregation, KL).

| | advantage | ratio | clip | aggregation | KL |
|---|---|---|---|---|---|
| GRPO (arXiv:2402.03300) | (R - mean) / sd | token | .2 / .2 | sequence mean | .04 k3 in the loss |
| Dr. GRPO (arXiv:2503.20783) | R - mean | token | .2 / .2 | sum / (B L_max) | none |
| DAPO (arXiv:2503.14476) | (R - mean) / sd | token | .2 / .28 | token mean | none |
| GSPO (arXiv:2507.18071) | (R - mean) / sd | sequence mean | 3e-4 / 4e-4 | sequence mean | none |
| CISPO (arXiv:2506.13585) | (R - mean) / sd | token | weight | token mean | none |

Deviations, common to all:

G1. 8 tasks x 8 programs a step instead of 16 x 1024 (GRPO: 64 programs a task), so that a step takes a minute on a CPU.
G2. Two minibatches a step for DAPO, GSPO and CISPO instead of 4 to 16: with one, every ratio is 1 and the clips are inert. GRPO
    makes one update a step, as its paper does; its clip then never acts.
G3. Learning rate 2e-5 instead of 1e-6, no warm-up of hundreds of steps: tens of updates instead of thousands.
G4. DAPO's overlong penalty speaks of 64 tokens, the last 12 of them penalised, instead of 20480 and 4096.
"""

from linewise.credit.dapo import DAPO
from linewise.credit.dr_grpo import DrGRPO
from linewise.credit.grpo import GRPO
from linewise.losses.aggregate import Aggregation
from linewise.losses.options import Clip, KlLossOptions, RatioLevel, SurrogateOptions
from linewise.recipes.on_policy import LEARNING_RATE, MAX_NEW_TOKENS, on_policy
from linewise.training.config import Recipe, UpdateOptions
from linewise.types import KlEstimator


def grpo() -> Recipe[GRPO]:
    """GRPO: the outcome, standardised within the group; PPO's clip, KL in the loss (arXiv:2402.03300)."""
    return on_policy(
        GRPO(),
        update=UpdateOptions(
            samples_per_step=64,  # paper: 1024 (G1)
            learning_rate=LEARNING_RATE,  # paper: 1e-6 (G3)
            weight_decay=0.0,
            aggregation=Aggregation.SEQUENCE_MEAN,  # paper: 1/G sum 1/|o|
            surrogate=SurrogateOptions(clip_low=0.2, clip_high=0.2),
            kl=KlLossOptions(coef=0.04, estimator=KlEstimator.K3),  # paper: 0.04
            tokens_per_micro_batch=1024,
        ),
    )


def dr_grpo() -> Recipe[DrGRPO]:
    """Dr. GRPO: GRPO without the two divisions that bias it (arXiv:2503.20783)."""
    return on_policy(
        DrGRPO(),
        update=UpdateOptions(
            samples_per_step=64,  # paper: 1024 (G1)
            learning_rate=LEARNING_RATE,  # paper: 1e-6 (G3)
            weight_decay=0.0,
            aggregation=Aggregation.CONSTANT,  # paper: a constant instead of |o|
            surrogate=SurrogateOptions(clip_low=0.2, clip_high=0.2),
            tokens_per_micro_batch=1024,
        ),
    )


def dapo() -> Recipe[DAPO]:
    """DAPO: clip-higher, dynamic sampling, token mean, overlong penalty (arXiv:2503.14476)."""
    return on_policy(
        DAPO(max_length=MAX_NEW_TOKENS, cache_length=12),  # paper: 20480, 4096 (G4)
        dynamic_sampling=True,
        update=UpdateOptions(
            samples_per_step=64,  # paper: 512 x 16 (G1)
            minibatches=2,  # paper: 16 (G2)
            learning_rate=LEARNING_RATE,  # paper: 1e-6 (G3)
            weight_decay=0.0,
            aggregation=Aggregation.TOKEN_MEAN,
            surrogate=SurrogateOptions(clip_low=0.2, clip_high=0.28),  # paper: 0.2, 0.28
            tokens_per_micro_batch=1024,
        ),
    )


def gspo() -> Recipe[GRPO]:
    """GSPO: GRPO with the ratio and the clip of whole sequences (arXiv:2507.18071)."""
    return on_policy(
        GRPO(),
        update=UpdateOptions(
            samples_per_step=64,  # (G1)
            minibatches=2,  # paper: 4 (G2)
            learning_rate=LEARNING_RATE,  # (G3)
            weight_decay=0.0,
            aggregation=Aggregation.SEQUENCE_MEAN,
            surrogate=SurrogateOptions(
                ratio_level=RatioLevel.SEQUENCE_MEAN, clip_low=3e-4, clip_high=4e-4
            ),  # paper: 3e-4, 4e-4
            tokens_per_micro_batch=1024,
        ),
    )


def cispo() -> Recipe[GRPO]:
    """CISPO: the importance weight is clipped, the gradient of no token is lost (arXiv:2506.13585)."""
    return on_policy(
        GRPO(),
        update=UpdateOptions(
            samples_per_step=64,  # (G1)
            minibatches=2,  # paper: 16 (G2)
            learning_rate=LEARNING_RATE,  # (G3)
            weight_decay=0.0,
            aggregation=Aggregation.TOKEN_MEAN,
            surrogate=SurrogateOptions(clip=Clip.WEIGHT, clip_high=4.0),  # the paper tunes it and names no number
            tokens_per_micro_batch=1024,
        ),
    )
