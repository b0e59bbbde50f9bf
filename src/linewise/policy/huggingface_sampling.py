"""Drawing one token for each row from its logits."""

from dataclasses import dataclass

import torch

from linewise.errors import PolicyError
from linewise.types import Sampling

BLOCK = 256
"""Neighbouring tokens that are summed first; the cumulative sum then runs over blocks, and inside one block."""


@dataclass(frozen=True, kw_only=True)
class Draw:
    """One token for each row."""

    token_ids: torch.Tensor
    """[R] int64."""
    logprobs: torch.Tensor
    """[R] float32 log-probability at temperature 1 under the full distribution, natural log."""


def draw(logits: torch.Tensor, uniforms: torch.Tensor, sampling: Sampling) -> Draw:
    """Draw by inversion: the first token whose cumulative probability exceeds the row's uniform number.

    `logits` [R, V] of any floating type, `uniforms` [R] in [0, 1). Temperature 0 takes the most probable token. `top_p`
    keeps the smallest set of most probable tokens whose probability reaches it (arXiv:1904.09751), at least one token.
    The result of a row depends on that row alone. Raises `PolicyError` for logits that are not finite.
    """
    peak = logits.amax(dim=-1, keepdim=True).float()
    # In place: at [128, 49152] every further tensor costs more than the arithmetic.
    weights = logits.to(torch.float32, copy=True).sub_(peak).exp_()
    total = weights.sum(dim=-1)
    if not total.isfinite().all():
        raise PolicyError("The model's logits hold NaN or infinity. Check its weights, or sample in float32.")
    if sampling.temperature == 0:
        token_ids = logits.argmax(dim=-1)
    else:
        if sampling.temperature != 1:
            weights = logits.to(torch.float32, copy=True).sub_(peak).div_(sampling.temperature).exp_()
        token_ids = _nucleus(weights, uniforms, sampling.top_p) if sampling.top_p < 1 else _invert(weights, uniforms)
    chosen = logits.gather(1, token_ids[:, None]).float() - peak
    return Draw(token_ids=token_ids, logprobs=chosen[:, 0] - total.log())


def _nucleus(weights: torch.Tensor, uniforms: torch.Tensor, top_p: float) -> torch.Tensor:
    ordered, order = weights.sort(dim=-1, descending=True, stable=True)
    before = ordered.cumsum(dim=-1) - ordered
    ordered = ordered.masked_fill(before >= top_p * ordered.sum(dim=-1, keepdim=True), 0.0)
    return order.gather(1, _first_above(ordered, uniforms)[:, None])[:, 0]


def _invert(weights: torch.Tensor, uniforms: torch.Tensor) -> torch.Tensor:
    if padding := -weights.shape[1] % BLOCK:
        weights = torch.nn.functional.pad(weights, (0, padding))
    blocks = weights.view(len(weights), -1, BLOCK)
    sums = blocks.sum(dim=-1)
    block = _first_above(sums, uniforms)
    below = sums.cumsum(dim=-1).gather(1, block[:, None])[:, 0] - sums.gather(1, block[:, None])[:, 0]
    inside = blocks[torch.arange(len(block), device=block.device), block]
    rest = (uniforms * sums.sum(dim=-1) - below) / inside.sum(dim=-1)
    return block * BLOCK + _first_above(inside, rest.clamp(0, 1))


def _first_above(weights: torch.Tensor, fractions: torch.Tensor) -> torch.Tensor:
    """[R] the first index whose cumulative weight exceeds `fractions` of the total; its own weight is never 0."""
    cumulative = weights.cumsum(dim=-1)
    total = cumulative[:, -1:]
    target = torch.minimum(fractions[:, None] * total, torch.nextafter(total, torch.zeros_like(total)))
    return torch.searchsorted(cumulative, target, right=True)[:, 0]
