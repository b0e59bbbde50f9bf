"""The process reward model R_phi: a causal language model with one number for each token instead of a vocabulary.

It is `AutoModelForTokenClassification` with `num_labels=1` (arXiv:2410.17621, section 3.3, gives no architecture): any
library that loads a token classifier loads it, as a reward model or as a critic. Backbone and head are those of
`linewise.policy.classifier`: every line starts at the score 0.

Shape legend: B sequences, L padded length, K lines read.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from linewise.policy import classifier
from linewise.policy.classifier import ClassifierKind, Float32Head, load_classifier, pad_right, token_logits
from linewise.policy.huggingface_load import LoadedModel
from linewise.policy.lora import LoraOptions

PRM = ClassifierKind(
    name="process reward model",
    labels=("LABEL_0",),
    command="linewise prm train",
    folder="prm",
    untrained="scores no lines",
)
ScalarHead = Float32Head
"""The head of a process reward model, with one output."""


@dataclass(frozen=True, kw_only=True)
class LineBatch:
    """Padded sequences and the places at which lines end.

    Example: sequences `[5, 6, 7]` and `[8, 9]`, lines ending at 1 and 2 of the first and 1 of the second:
    `token_ids [[5, 6, 7], [8, 9, 0]]`, `mask [[True] * 3, [True, True, False]]`, `rows [0, 0, 1]`, `columns [1, 2, 1]`.
    """

    token_ids: Tensor
    """[B, L] int64, padded on the right."""
    mask: Tensor
    """[B, L] True on tokens."""
    rows: Tensor
    """[K] sequence of each line."""
    columns: Tensor
    """[K] last token of each line."""


def load_prm(
    name: str, *, device: str | torch.device = "cpu", lora: LoraOptions | None = None, trained: bool = False
) -> LoadedModel:
    """A process reward model from a causal checkpoint, or one that was saved earlier: see `load_classifier`."""
    return load_classifier(name, PRM, device=device, lora=lora, trained=trained)


def head_name(model: Any) -> str:
    """Name of the linear layer that makes one number of a hidden state."""
    return classifier.head_name(model, PRM)


def line_batch(
    sequences: Sequence[Sequence[int]], positions: Sequence[Sequence[int]], *, pad_id: int, device: torch.device
) -> LineBatch:
    """Pad sequences on the right; `positions` are the line ends of each."""
    padded = pad_right(sequences, pad_id=pad_id, device=device)
    places = [(row, place) for row, ours in enumerate(positions) for place in ours]
    rows, columns = torch.tensor(places, dtype=torch.long).reshape(-1, 2).unbind(dim=1)
    return LineBatch(token_ids=padded.token_ids, mask=padded.mask, rows=rows.to(device), columns=columns.to(device))


def line_scores(model: Any, batch: LineBatch) -> Tensor:
    """[K] float32 scores R_phi(x, y^(1..m)) at the line ends, not clipped. Differentiable."""
    return token_logits(model, batch.token_ids, batch.mask)[batch.rows, batch.columns, 0]
