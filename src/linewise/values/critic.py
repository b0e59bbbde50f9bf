"""The critic of PPO: V(s_t), the return expected before token t is drawn, from a scalar head on a transformer.

Two places for the head:

- a backbone of its own: a token classifier with one label, made of the policy's weights or of a process reward model
  (*ValueInit*, arXiv:2410.17621, section 3.4), which is such a classifier already. Decoder-only models alone have one.
- the policy's backbone: a head on the hidden states from which the next token is predicted. Half the memory, any kind of
  model; policy and value loss then share their gradients.

The state before token t ends with token t-1, so V(s_t) is read one place before the token: at the prompt's last token for the
first one. A process reward model reads R(x, y^(1..m)) at the last token of line m, which is the same place as V of the state in
which line m+1 begins.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from linewise.policy.huggingface_forward import unwrap
from linewise.policy.huggingface_load import LoadedModel
from linewise.policy.huggingface_logprobs import SequenceBatch, response_logprobs
from linewise.policy.lora import LoraOptions
from linewise.prm.model import ScalarHead, head_name, load_prm

VALUE_HEAD = "value_head"
"""Name of the scalar head that a policy carries for a critic without a backbone of its own."""


@dataclass(frozen=True, kw_only=True)
class PolicyOutputs:
    """What one forward pass of the policy gives."""

    logprobs: Tensor
    """[B, T] float32; 0 on padding."""
    entropy: Tensor
    """[B, T] nats, without gradient; 0 on padding."""
    values: Tensor | None = None
    """[B, T] float32 V(s_t) of a head on the policy's backbone; 0 on padding."""


def load_critic(
    name: str, *, rescale: bool, device: str | torch.device = "cpu", lora: LoraOptions | None = None
) -> LoadedModel:
    """A critic with a backbone of its own, from a policy (V starts at 0) or from a process reward model.

    `rescale` turns the head's score in [-1, 1] into the value (score + 1) / 2 in [0, 1]: w/2 and (b+1)/2, so that V starts as
    the probability that the prefix can be completed. Raises `PolicyError` as `load_prm` does.
    """
    loaded = load_prm(name, device=device, lora=lora)
    if rescale:
        rescale_head(loaded.model)
    return loaded


@torch.no_grad()
def rescale_head(model: Any) -> None:
    """Replace the head's score s by (s + 1) / 2. A head without a bias gets one."""
    base = unwrap(model)
    head = base.get_submodule(head_name(base))
    head.weight /= 2
    if head.bias is None:
        head.bias = nn.Parameter(torch.zeros(1, device=head.weight.device, dtype=head.weight.dtype))
    head.bias.copy_((head.bias + 1) / 2)


def token_values(model: Any, batch: SequenceBatch) -> Tensor:
    """[B, T] float32 V(s_t) of a token classifier at every response token; 0 on padding. Differentiable."""
    mask = torch.cat([batch.prompt_mask, batch.response_mask], dim=1)
    logits = model(
        input_ids=torch.cat([batch.prompt_ids, batch.response_ids], dim=1),
        attention_mask=mask,
        position_ids=(mask.long().cumsum(dim=1) - 1).clamp(min=0),
        use_cache=False,
    ).logits
    width = batch.prompt_ids.shape[1]
    values: Tensor = logits[:, width - 1 : -1, 0].float().masked_fill(~batch.response_mask, 0.0)
    return values


def add_value_head(model: Any) -> None:
    """Give a policy a scalar head on its last hidden states; it starts at 0 and computes in float32."""
    base = unwrap(model)
    weight = base.get_output_embeddings().weight
    head = ScalarHead(weight.shape[1], 1, device=weight.device)
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)
    base.add_module(VALUE_HEAD, head)


def policy_outputs(model: Any, batch: SequenceBatch) -> PolicyOutputs:
    """One forward pass of a policy without a value head."""
    output = response_logprobs(model, batch, with_entropy=True)
    assert output.entropy is not None
    return PolicyOutputs(logprobs=output.logprobs, entropy=output.entropy)


def policy_and_value_outputs(model: Any, batch: SequenceBatch) -> PolicyOutputs:
    """One forward pass of a policy with a value head: V(s_t) from the hidden state that predicts token t."""
    with hidden_states_kept(model) as kept:
        output = response_logprobs(model, batch, with_entropy=True)
    assert output.entropy is not None
    head = unwrap(model).get_submodule(VALUE_HEAD)
    values = torch.zeros_like(output.logprobs)
    values = values.index_put(tuple(batch.wanted.nonzero(as_tuple=True)), head(kept[0])[0, :, 0])
    return PolicyOutputs(logprobs=output.logprobs, entropy=output.entropy, values=values)


@contextmanager
def hidden_states_kept(model: Any) -> Iterator[list[Tensor]]:
    """Within the block, the hidden states [1, N, H] that the output layer is given are appended to the list."""
    kept: list[Tensor] = []

    def keep(_module: nn.Module, inputs: tuple[Tensor, ...], _output: Tensor) -> None:
        kept.append(inputs[0])

    hook = unwrap(model).get_output_embeddings().register_forward_hook(keep)
    try:
        yield kept
    finally:
        hook.remove()
