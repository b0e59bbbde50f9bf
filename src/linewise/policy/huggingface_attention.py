"""Attention of one new token for each row, on a CPU, over the strided buffers of the row cache.

torch's fused CPU kernel is made for many queries; for one, two batched products are two to three times as fast, as long
as neither copies the keys. With G query heads for each key head, `keys [L, D] @ queries [D, G]` reads the keys as they
lie in the buffer, while `queries @ keys.T` would copy them.
"""

from typing import Any

import torch
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

DECODE = "linewise_decode"
"""Name of the attention among those of transformers; everything but single queries goes to its `sdpa`."""


def use_decode_attention(model: Any) -> None:
    """Let a model that uses `sdpa` on a CPU use this attention; others stay as they are."""
    if model.config._attn_implementation == "sdpa" and model.device.type == "cpu":
        AttentionInterface.register(DECODE, decode_attention)
        AttentionMaskInterface.register(DECODE, sdpa_mask)
        model.set_attn_implementation(DECODE)


def decode_attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    **options: Any,
) -> tuple[torch.Tensor, None]:
    """softmax(query key^T scaling + mask) value, for query [R, heads, 1, D] and key, value [R, key heads, L, D]."""
    if query.shape[2] != 1 or options.get("position_bias") is not None or options.get("softcap") is not None:
        return sdpa_attention_forward(module, query, key, value, attention_mask, scaling=scaling, **options)
    rows, heads, _, size = query.shape
    key_heads, length = key.shape[1:3]
    scaling = size**-0.5 if scaling is None else scaling
    queries = (query * scaling).view(rows * key_heads, heads // key_heads, size)
    scores = torch.bmm(key.flatten(0, 1), queries.transpose(1, 2)).view(rows, key_heads, length, -1)
    if attention_mask is not None:
        scores = scores.masked_fill_(~attention_mask.transpose(2, 3), -torch.inf)
    weights = scores.transpose(2, 3).softmax(dim=-1, dtype=torch.float32).to(value.dtype)
    output = torch.bmm(weights.flatten(0, 1), value.flatten(0, 1))
    return output.view(rows, 1, heads, -1), None
