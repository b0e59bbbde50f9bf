"""REINFORCE (Williams 1992): the gradient of -A log pi is the policy gradient."""

from jaxtyping import Float
from torch import Tensor


def reinforce(
    logprobs: Float[Tensor, "B T"], advantages: Float[Tensor, "B T"], weights: Float[Tensor, "B T"]
) -> Float[Tensor, "B T"]:
    """Per-token loss  -w_t A_t log pi(a_t | s_t).

    RLTF's L_rl (arXiv:2307.04349, section 3.3) is the sum of this over tokens, with A_t from `credit/rltf.py`.
    `advantages` and `weights` are constants: no gradient flows into them. A token of weight 0 has no gradient.
    """
    assert not advantages.requires_grad and not weights.requires_grad, "credit is a constant of the loss"
    return -weights * advantages * logprobs
