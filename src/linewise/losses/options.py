"""The switches of the policy loss, apart from the tensors that execute them. Torch-free: recipes are made of these.

With the advantage, which credit writes, and the aggregation, which `losses/aggregate.py` holds, these are the five choices
of which the policy-gradient family consists: ratio level, clip, KL kind and place.
"""

from dataclasses import dataclass
from enum import StrEnum

from linewise.types import KlEstimator


class RatioLevel(StrEnum):
    """What an importance ratio is taken over."""

    NONE = "none"
    """No ratio: the loss is -A log pi, REINFORCE's, also for samples of an older policy."""
    TOKEN = "token"
    SEQUENCE = "sequence"
    SEQUENCE_MEAN = "sequence_mean"


class Clip(StrEnum):
    """How far a ratio may move the loss."""

    NONE = "none"
    PESSIMISTIC = "pessimistic"
    WEIGHT = "weight"


@dataclass(frozen=True, kw_only=True)
class SurrogateOptions:
    """One surrogate."""

    ratio_level: RatioLevel = RatioLevel.TOKEN
    clip: Clip = Clip.PESSIMISTIC
    clip_low: float = 0.2
    """Ratios below 1 - clip_low are clipped where that lowers the gain."""
    clip_high: float = 0.2
    """Ratios above 1 + clip_high are clipped; larger than clip_low is DAPO's clip-higher."""


@dataclass(frozen=True, kw_only=True)
class KlLossOptions:
    """A penalty coef * KL in the loss. A penalty in the reward is the credit's business (`--credit.reward.kl-coef`)."""

    coef: float = 0.0
    """0 switches the penalty off, and with it the reference policy."""
    estimator: KlEstimator = KlEstimator.K3
    """Differentiated, k3 has the gradient of KL(ref || pi), k2 that of KL(pi || ref), and k1 none in expectation."""
