"""Supervised fine-tuning: cross-entropy on reference solutions, RLTF's L_sl."""

from jaxtyping import Float
from torch import Tensor


def cross_entropy(logprobs: Float[Tensor, "B T"], weights: Float[Tensor, "B T"]) -> Float[Tensor, "B T"]:
    """Per-token loss  -w_t log p(w_t | D, w_<t)  (arXiv:2307.04349, section 3.3, L_sl)."""
    assert not weights.requires_grad, "weights are a constant of the loss"
    return -weights * logprobs
