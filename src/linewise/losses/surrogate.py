"""The clipped surrogates of PPO and its kin, as two independent choices: the level of the ratio and the kind of clipping.

    rho_t = pi(a_t | s_t) / pi_old(a_t | s_t)

| ratio level | s_t | used by |
|---|---|---|
| none | | REINFORCE, RLTF: -A log pi |
| token | rho_t | PPO (arXiv:1707.06347), GRPO, DAPO, REINFORCE++ |
| sequence | prod_t rho_t | RLOO as TRL computes it |
| sequence mean | (prod_t rho_t)^(1/T) | GSPO (arXiv:2507.18071, eq. 7) |

| clipping | per-token loss | used by |
|---|---|---|
| none | -s A | importance-weighted REINFORCE |
| pessimistic | -min(s A, clip(s, 1 - low, 1 + high) A) | PPO (eq. 7) and all that say "PPO clip" |
| weight | -sg[min(s, 1 + high)] A log pi | CISPO (arXiv:2506.13585, eq. 4) |

At s = 1 the gradient of each is REINFORCE's, -A grad log pi (for the sequence levels: in total over the sequence, where A is
constant). Clipping is inert there, so tests of it are off-policy.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from linewise.losses.options import Clip, RatioLevel, SurrogateOptions
from linewise.losses.reinforce import reinforce


def importance_ratios(
    logprobs: Float[Tensor, "B T"],
    old_logprobs: Float[Tensor, "B T"],
    response_mask: Bool[Tensor, "B T"],
    level: RatioLevel,
) -> Float[Tensor, "B T"]:
    """The ratio s_t at each token; the same at all tokens of a sequence for the sequence levels, 1 on padding.

    `response_mask` selects every token that the policy wrote. Weights of the loss must not enter it: a token that bears no
    loss was still sampled, so it is a factor of the sequence's probability.
    """
    assert level is not RatioLevel.NONE, "this loss has no ratio"
    log_ratios = (logprobs - old_logprobs).masked_fill(~response_mask, 0.0)
    if level is RatioLevel.TOKEN:
        return log_ratios.exp()
    total = log_ratios.sum(dim=1, keepdim=True)
    if level is RatioLevel.SEQUENCE_MEAN:
        total = total / response_mask.sum(dim=1, keepdim=True).clamp(min=1)
    return torch.where(response_mask, total.exp(), torch.ones_like(log_ratios))


def surrogate(
    logprobs: Float[Tensor, "B T"],
    old_logprobs: Float[Tensor, "B T"],
    advantages: Float[Tensor, "B T"],
    weights: Float[Tensor, "B T"],
    response_mask: Bool[Tensor, "B T"],
    options: SurrogateOptions,
) -> Float[Tensor, "B T"]:
    """Per-token loss of the chosen surrogate, times the weights; 0 where the weight is 0.

    A sequence-level ratio stands at every token, so that the mean over the tokens is the sequence's loss.
    """
    assert not advantages.requires_grad and not old_logprobs.requires_grad, "credit and the old policy are constants"
    if options.ratio_level is RatioLevel.NONE:
        return reinforce(logprobs, advantages, weights)
    ratios = importance_ratios(logprobs, old_logprobs, response_mask, options.ratio_level)
    match options.clip:
        case Clip.NONE:
            gain = ratios * advantages
        case Clip.PESSIMISTIC:
            clipped = ratios.clamp(1 - options.clip_low, 1 + options.clip_high)
            gain = torch.minimum(ratios * advantages, clipped * advantages)
        case Clip.WEIGHT:
            gain = ratios.detach().clamp(max=1 + options.clip_high) * advantages * logprobs
    return -weights * gain


def clipped_tokens(
    ratios: Float[Tensor, "B T"],
    advantages: Float[Tensor, "B T"],
    weights: Float[Tensor, "B T"],
    options: SurrogateOptions,
) -> Bool[Tensor, "B T"]:
    """True at loss-bearing tokens whose gradient the pessimistic clip removes, or whose ratio the weight clip lowers."""
    above, below = ratios > 1 + options.clip_high, ratios < 1 - options.clip_low
    match options.clip:
        case Clip.NONE:
            return torch.zeros_like(above)
        case Clip.PESSIMISTIC:
            return ((above & (advantages > 0)) | (below & (advantages < 0))) & (weights != 0)
        case Clip.WEIGHT:
            return above & (weights != 0)
