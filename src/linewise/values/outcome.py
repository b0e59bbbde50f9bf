"""The outcome critic of CodeRL: it reads a program and says what became of it (arXiv:2207.01780, section 3.2).

With h_t the state of the program's token w_t, and four outcomes u (compile error, runtime error, failed, passed):

    z_t = Linear(h_t)                       [4] logits of every token
    p(u | W, D) = softmax(max_t z_t)_u      maximum over the program's tokens, for each outcome by itself
    loss = - log p(u* | W, D)               u* the true outcome
    q_t = softmax(z_t)_u*                   what a token says of the true outcome: weights of the actor's gradient
    p(pass | w_1..t, D) = softmax(z_t)_passed

Deviations:

1. The paper's critic is an encoder-decoder (CodeT5) whose decoder reads the program; ours is a causal language model,
   which reads prompt and program in one go. An encoder-decoder *policy* is therefore served only if a decoder-only
   model has its very tokeniser.
2. The head is one linear layer, without the paper's ReLU, so that the critic is a token classifier that any library loads.
3. Only tokens that wrote some of the program are pooled: neither the prompt's nor the end-of-sequence token, by which a
   reference could be told from a sample.

Shape legend: B sequences, L padded length, C = 4 outcomes.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from linewise.policy.classifier import ClassifierKind, load_classifier, pad_right
from linewise.policy.huggingface_load import LoadedModel
from linewise.policy.lora import LoraOptions
from linewise.values.classes import OutcomeClass
from linewise.values.programs import OutcomeExample

CRITIC = ClassifierKind(
    name="outcome critic",
    article="an",
    labels=tuple(outcome.name for outcome in OutcomeClass),
    command="linewise coderl critic",
    folder="critic",
    untrained="knows nothing of outcomes",
)


@dataclass(frozen=True, kw_only=True)
class OutcomeBatch:
    """Padded sequences and where they are pooled.

    Example: sequences `[5, 6, 7]` pooled over 1 and 2 and `[8, 9]` pooled over 1: `token_ids [[5, 6, 7], [8, 9, 0]]`,
    `mask [[True] * 3, [True, True, False]]`, `pooled_mask [[False, True, True], [False, True, False]]`.
    """

    token_ids: Int[Tensor, "B L"]
    """Padded on the right."""
    mask: Bool[Tensor, "B L"]
    """True on tokens."""
    pooled_mask: Bool[Tensor, "B L"]
    """True on the program's tokens."""


def load_outcome_critic(
    name: str, *, device: str | torch.device = "cpu", lora: LoraOptions | None = None, trained: bool = False
) -> LoadedModel:
    """An outcome critic from a causal checkpoint, or one that was saved earlier: see `load_classifier`.

    A fresh one gives every outcome the probability 1/4 at every token.
    """
    return load_classifier(name, CRITIC, device=device, lora=lora, trained=trained)


def outcome_batch(
    sequences: Sequence[Sequence[int]], pooled: Sequence[Sequence[int]], *, pad_id: int, device: torch.device
) -> OutcomeBatch:
    """Pad sequences on the right; `pooled` are the places of each program's tokens."""
    padded = pad_right(sequences, pad_id=pad_id, device=device)
    pooled_mask = torch.zeros(padded.mask.shape, dtype=torch.bool)
    for row, places in enumerate(pooled):
        pooled_mask[row, list(places)] = True
    return OutcomeBatch(token_ids=padded.token_ids, mask=padded.mask, pooled_mask=pooled_mask.to(device))


def batch_of_examples(examples: Sequence[OutcomeExample], *, pad_id: int, device: torch.device) -> OutcomeBatch:
    """The batch of training sequences."""
    return outcome_batch(
        [example.token_ids for example in examples],
        [example.pooled for example in examples],
        pad_id=pad_id,
        device=device,
    )


def max_pool(logits: Float[Tensor, "B L C"], pooled_mask: Bool[Tensor, "B L"]) -> Float[Tensor, "B C"]:
    """The largest logit of each outcome over the pooled tokens; tokens that tie share the gradient.

    Example: tokens with logits (0, 3) and (2, 1) give (2, 3), which neither token says by itself. No other token has a
    gradient, and padding never wins. A sequence without a pooled token is an error of the caller.
    """
    assert bool(pooled_mask.any(dim=1).all()), "every sequence has a token to pool"
    return logits.masked_fill(~pooled_mask.unsqueeze(-1), -torch.inf).amax(dim=1)


def true_outcome_probs(logits: Float[Tensor, "B L C"], outcomes: Int[Tensor, " B"]) -> Float[Tensor, "B L"]:
    """q_t = softmax(z_t) at the true outcome, in (0, 1). Example: four equal logits give 1/4."""
    return logits.softmax(dim=-1).gather(-1, outcomes[:, None, None].expand(-1, logits.shape[1], 1)).squeeze(-1)
