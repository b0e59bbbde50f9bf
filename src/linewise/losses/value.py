"""The critic's loss (PPO, arXiv:1707.06347, eq. 9; the clipped form is that of the authors' code)."""

import torch
from jaxtyping import Float
from torch import Tensor


def value_loss(
    values: Float[Tensor, "B T"],
    old_values: Float[Tensor, "B T"],
    returns: Float[Tensor, "B T"],
    weights: Float[Tensor, "B T"],
    *,
    clip: float | None,
) -> Float[Tensor, "B T"]:
    """Per-token loss  w/2 max[(V - R)^2, (V_old + clip(V - V_old, -c, c) - R)^2]; plain squares where `clip` is None.

    The clip keeps V from moving further than c from the values that the advantages were made with.
    """
    assert not returns.requires_grad and not old_values.requires_grad, "targets are constants of the loss"
    errors = (values - returns).square()
    if clip is not None:
        near = old_values + (values - old_values).clamp(-clip, clip)
        errors = torch.maximum(errors, (near - returns).square())
    return weights * errors / 2
