"""Differentiable log-probabilities of response tokens, with logits only where they are wanted.

With V = 49,152 the logits of all positions are the memory peak of training. A hook in front of the model's output layer
hands it the wanted hidden states alone, as `[1, N, H]`; whatever the model does to logits afterwards (scaling,
soft-capping) still applies. The log-softmax runs in float32 over chunks of rows and stores no probabilities.
"""

from dataclasses import dataclass
from typing import Any

import torch

from linewise.policy.huggingface_forward import decoder_start_id, logits_only_at, padding_to_right, unwrap

CHUNK_ELEMENTS = 1 << 20
"""Logits that are held in float32 at a time (4 MiB); larger chunks cost fresh memory pages."""


@dataclass(frozen=True, kw_only=True)
class SequenceBatch:
    """Padded prompts and responses.

    Example: prompts `[5, 6]` and `[7]`, responses `[8]` and `[9, 2]` are `prompt_ids [[5, 6], [0, 7]]`, `prompt_mask
    [[True, True], [False, True]]`, `response_ids [[8, 0], [9, 2]]`, `response_mask [[True, False], [True, True]]`.
    """

    prompt_ids: torch.Tensor
    """[B, P] int64, padded on the left."""
    prompt_mask: torch.Tensor
    """[B, P] True on tokens."""
    response_ids: torch.Tensor
    """[B, T] int64, padded on the right."""
    response_mask: torch.Tensor
    """[B, T] True on tokens."""
    loss_mask: torch.Tensor | None = None
    """[B, T] True where the log-probability is wanted, within `response_mask`; None means all of it."""

    @property
    def wanted(self) -> torch.Tensor:
        """[B, T] True where the log-probability is wanted."""
        return self.response_mask if self.loss_mask is None else self.loss_mask & self.response_mask


@dataclass(frozen=True, kw_only=True)
class ResponseLogprobs:
    """What a model thinks of response tokens."""

    logprobs: torch.Tensor
    """[B, T] float32 log-probability of each wanted token, natural log; 0 elsewhere. Differentiable."""
    entropy: torch.Tensor | None
    """[B, T] float32 entropy (nats) of the distribution over each wanted token; 0 elsewhere. No gradient."""


def response_logprobs(model: Any, batch: SequenceBatch, *, with_entropy: bool = False) -> ResponseLogprobs:
    """Log-probabilities at temperature 1 of the wanted response tokens under a causal or encoder-decoder model.

    Runs under the caller's autocast and gradient modes. Raises `PolicyError` for a model without an output layer.
    """
    rows, columns = batch.wanted.nonzero(as_tuple=True)
    if len(rows) == 0:
        raise ValueError("No response token is wanted in this batch; drop the batch.")
    if unwrap(model).config.is_encoder_decoder:
        logits = _encoder_decoder_logits(model, batch, rows, columns)
    else:
        logits = _causal_logits(model, batch, rows, columns)
    picked = PickedLogprobs.apply(logits, batch.response_ids[rows, columns])  # type: ignore[no-untyped-call]
    zeros = torch.zeros(batch.response_ids.shape, dtype=torch.float32, device=picked.device)
    entropy = zeros.index_put((rows, columns), _entropy(logits.detach())) if with_entropy else None
    return ResponseLogprobs(logprobs=zeros.index_put((rows, columns), picked), entropy=entropy)


class PickedLogprobs(torch.autograd.Function):
    """[N] float32 log-softmax of logits [N, V] at target ids [N], chunk by chunk; saves no [N, V] float32 tensor."""

    @staticmethod
    def forward(ctx: Any, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Return log p(target) = logit(target) - log sum exp(logits)."""
        normaliser = torch.cat([chunk.float().logsumexp(dim=-1) for chunk in logits.split(_chunk_rows(logits))])
        ctx.save_for_backward(logits, targets, normaliser)
        return logits.gather(1, targets[:, None])[:, 0].float() - normaliser

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None]:
        """Return d log p(target) / d logits = onehot(target) - softmax(logits)."""
        logits, targets, normaliser = ctx.saved_tensors
        (gradient,) = gradients
        result = torch.empty_like(logits)
        size = _chunk_rows(logits)
        for begin in range(0, len(logits), size):
            part = slice(begin, begin + size)
            softmax = (logits[part].float() - normaliser[part, None]).exp_()
            softmax.mul_(-gradient[part, None])
            softmax.scatter_add_(1, targets[part, None], gradient[part, None])
            result[part] = softmax
        return result, None


def _causal_logits(model: Any, batch: SequenceBatch, rows: torch.Tensor, columns: torch.Tensor) -> torch.Tensor:
    mask = torch.cat([batch.prompt_mask, batch.response_mask], dim=1)
    # The logits of a column predict the next one, so the first response token is predicted by the last prompt column.
    places = batch.prompt_ids.shape[1] - 1 + columns
    with logits_only_at(model, rows, places):
        output = model(
            input_ids=torch.cat([batch.prompt_ids, batch.response_ids], dim=1),
            attention_mask=mask,
            position_ids=(mask.long().cumsum(dim=1) - 1).clamp(min=0),
            use_cache=False,
        )
    return _single(output.logits)


def _encoder_decoder_logits(
    model: Any, batch: SequenceBatch, rows: torch.Tensor, columns: torch.Tensor
) -> torch.Tensor:
    start = torch.full_like(batch.response_ids[:, :1], decoder_start_id(unwrap(model)))
    prompt_ids, prompt_mask = padding_to_right(batch.prompt_ids, batch.prompt_mask)
    with logits_only_at(model, rows, columns):
        output = model(
            input_ids=prompt_ids,
            attention_mask=prompt_mask,
            decoder_input_ids=torch.cat([start, batch.response_ids[:, :-1]], dim=1),
            use_cache=False,
        )
    return _single(output.logits)


def _single(logits: torch.Tensor) -> torch.Tensor:
    assert logits.shape[0] == 1
    return logits[0]


@torch.no_grad()
def _entropy(logits: torch.Tensor) -> torch.Tensor:
    parts = []
    for chunk in logits.split(_chunk_rows(logits)):
        logprobs = chunk.float().log_softmax(dim=-1)
        parts.append(-(logprobs.exp() * logprobs).sum(dim=-1))
    return torch.cat(parts)


def _chunk_rows(logits: torch.Tensor) -> int:
    return max(1, CHUNK_ELEMENTS // logits.shape[1])
