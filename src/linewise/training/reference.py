"""The frozen reference policy that a KL penalty compares with."""

from typing import Any

import torch
from torch import Tensor

from linewise.policy.huggingface import empty_copy, merged_weights
from linewise.policy.huggingface_attention import use_training_attention
from linewise.policy.huggingface_forward import unwrap
from linewise.policy.huggingface_logprobs import SequenceBatch, response_logprobs


def frozen_copy(model: Any) -> Any:
    """A copy of the model as it is, adapters merged, that never learns; no second read from the disk."""
    twin = empty_copy(unwrap(model), dtype=next(unwrap(model).parameters()).dtype, device=unwrap(model).device)
    copy_weights(model, twin)
    use_training_attention(twin)
    return twin


@torch.no_grad()
def copy_weights(model: Any, twin: Any) -> None:
    """Give a frozen copy the model's weights as they are now, adapters merged."""
    weights = merged_weights(model)
    for name, parameter in twin.named_parameters():
        parameter.copy_(weights[name]())


def ref_logprobs(model: Any, batch: SequenceBatch) -> Tensor:
    """[B, T] log-probabilities under the reference: a frozen copy, or a model with adapters, which are switched off."""
    inner = model.module if hasattr(model, "module") else model
    if hasattr(inner, "disable_adapter"):
        # LoRA: the policy without its adapters is the policy that the run began with.
        with inner.disable_adapter():
            return response_logprobs(model, batch).logprobs
    return response_logprobs(model, batch).logprobs
