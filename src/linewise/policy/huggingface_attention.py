"""Attention on a CPU, for transformers models that would use torch's fused `sdpa` kernel there.

That kernel serves long sequences. For the lengths of programs, batched matrix products are faster, in sampling and in
training, as long as no keys are copied. Let G query heads share each key head:

- one query for each row (sampling): `keys [L, D] @ queries [D, G]` reads the keys as they lie in the cache's buffer,
  while `queries @ keys.T` would copy them;
- many queries: the G heads of a group are stacked to `[G L, D]`, so that keys and values are not repeated, and the
  backward pass keeps the weights alone, in the computation's own precision.
"""

import math
from typing import Any

import torch
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

NAME = "linewise_cpu"
"""Name of this attention among those of transformers."""
LONGEST = 512
"""Most keys for which many queries are attended to by matrix products: their memory grows with the square."""

HIDDEN = -1e9
"""Added to the score of a hidden key; exp of it is 0."""


def use_cpu_attention(model: Any) -> None:
    """Let a model that uses `sdpa` on a CPU use this attention instead; others stay as they are."""
    if model.config._attn_implementation == "sdpa" and model.device.type == "cpu":
        AttentionInterface.register(NAME, cpu_attention)
        AttentionMaskInterface.register(NAME, sdpa_mask)
        model.set_attn_implementation(NAME)


def cpu_attention(
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

    `attention_mask` is True where attention is allowed. Returns [B, Q, heads, D]. What it does not cover (dropout,
    position biases, other masks, long sequences) goes to `sdpa`.
    """
    uncovered = query.device.type != "cpu" or dropout > 0
    uncovered = uncovered or options.get("position_bias") is not None or options.get("softcap") is not None
    if uncovered or (attention_mask is not None and attention_mask.dtype != torch.bool):
        return sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **options
        )
    scaling = 1 / math.sqrt(query.shape[-1]) if scaling is None else scaling
    if query.shape[2] == 1 and not query.requires_grad:
        return _single_query(query * scaling, key, value, attention_mask), None
    if key.shape[2] > LONGEST:
        return sdpa_attention_forward(module, query, key, value, attention_mask, scaling=scaling, **options)
    is_causal = options.get("is_causal")
    if attention_mask is None and (getattr(module, "is_causal", True) if is_causal is None else is_causal):
        attention_mask = torch.ones(query.shape[2], key.shape[2], dtype=torch.bool).tril(key.shape[2] - query.shape[2])
        attention_mask = attention_mask[None, None]
    query = query * scaling
    if torch.is_autocast_enabled("cpu"):
        # Rotary embeddings leave queries and keys in float32 under autocast, and softmax would stay there.
        query, key, value = (states.to(torch.get_autocast_dtype("cpu")) for states in (query, key, value))
    with torch.autocast("cpu", enabled=False):
        output = GroupedAttention.apply(query, key, value, attention_mask)  # type: ignore[no-untyped-call]
    return output.transpose(1, 2).contiguous(), None


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


class GroupedAttention(torch.autograd.Function):
    """softmax(query key^T) value with query heads in groups; query is scaled already."""

    @staticmethod
    def forward(
        ctx: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: torch.Tensor | None
    ) -> torch.Tensor:
        """[B, heads, Q, D] from query of that shape, key and value [B, key heads, L, D], mask [B or 1, 1, Q, L]."""
        batch, heads, length, _ = query.shape
        groups = heads // key.shape[1]
        queries = query.contiguous().view(batch * key.shape[1], groups * length, -1)
        keys, values = key.flatten(0, 1), value.flatten(0, 1)
        scores = torch.bmm(queries, keys.transpose(1, 2)).view(batch, heads, length, -1)
        if mask is not None:
            # A finite number, so that a padding row, which sees nothing, does not become NaN.
            scores.add_(torch.where(mask, 0.0, HIDDEN).to(scores.dtype))
        weights = torch.softmax(scores, dim=-1, dtype=scores.dtype).view(len(queries), groups * length, -1)
        ctx.save_for_backward(queries, keys, values, weights)
        ctx.key_shape = key.shape
        return torch.bmm(weights, values).view(batch, heads, length, -1)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, None]:
        """Gradients of query, key and value."""
        queries, keys, values, weights = ctx.saved_tensors
        (gradient,) = gradients
        shape = gradient.shape
        gradient = gradient.contiguous().view(len(queries), queries.shape[1], -1)
        of_values = torch.bmm(weights.transpose(1, 2), gradient)
        of_weights = torch.bmm(gradient, values.transpose(1, 2))
        of_scores = torch._softmax_backward_data(of_weights, weights, -1, weights.dtype)
        of_queries = torch.bmm(of_scores, keys)
        of_keys = torch.bmm(of_scores.transpose(1, 2), queries)
        return (
            of_queries.view(*shape[:3], -1),
            of_keys.view(ctx.key_shape),
            of_values.view(*ctx.key_shape[:3], -1),
            None,
        )
