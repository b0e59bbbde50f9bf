"""Attention on a CPU, for transformers models that would use torch's fused `sdpa` kernel there.

That kernel serves long sequences. For the lengths of programs, batched matrix products are faster. In training
transformers' own `eager` attention has them. In sampling, with one query for each row and G query heads sharing each key
head, `keys [L, D] @ queries [D, G]` reads the keys as they lie in the cache's buffer, while eager attention would copy and
repeat them.
"""

import math
from typing import Any

import torch
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

NAME = "linewise_cpu"
"""Name of this attention among those of transformers."""


def use_training_attention(model: Any) -> None:
    """Let a model that uses `sdpa` on a CPU use `eager` attention instead, the faster one for training on programs."""
    if model.config._attn_implementation == "sdpa" and model.device.type == "cpu":
        model.set_attn_implementation("eager")


def use_sampling_attention(model: Any) -> None:
    """Let a model that could use `sdpa` on a CPU use this module's attention instead; others stay as they are."""
    if model._supports_sdpa and model.device.type == "cpu":
        AttentionInterface.register(NAME, sampling_attention)
        AttentionMaskInterface.register(NAME, sdpa_mask)
        model.set_attn_implementation(NAME)


def sampling_attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    **options: Any,
) -> tuple[torch.Tensor, None]:
    """softmax(query key^T scaling + mask) value, for query [B, heads, Q, D] and key, value [B, key heads, L, D].

    `attention_mask` is True where attention is allowed. Returns [B, Q, heads, D]. What it does not cover (many queries,
    dropout, position biases, other masks) goes to `sdpa`.
    """
    uncovered = dropout > 0 or options.get("position_bias") is not None or options.get("softcap") is not None
    if uncovered or query.shape[2] > 1 or (attention_mask is not None and attention_mask.dtype != torch.bool):
        return sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **options
        )
    scaling = 1 / math.sqrt(query.shape[-1]) if scaling is None else scaling
    return _single_query(query * scaling, key, value, attention_mask), None


def _single_query(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: torch.Tensor | None
) -> torch.Tensor:
    rows, heads, _, size = query.shape
    key_heads, length = key.shape[1:3]
    queries = query.view(rows * key_heads, heads // key_heads, size)
    scores = torch.bmm(key.flatten(0, 1), queries.transpose(1, 2)).view(rows, key_heads, length, -1)
    if mask is not None:
        scores.masked_fill_(~mask.transpose(2, 3), -torch.inf)
    weights = scores.transpose(2, 3).softmax(dim=-1, dtype=torch.float32).to(value.dtype)
    return torch.bmm(weights.flatten(0, 1), value.flatten(0, 1)).view(rows, 1, heads, -1)
