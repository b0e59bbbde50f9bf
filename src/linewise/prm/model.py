"""The process reward model R_phi: a causal language model with one number for each token instead of a vocabulary.

It is `AutoModelForTokenClassification` with `num_labels=1` (arXiv:2410.17621, section 3.3, gives no architecture): any
library that loads a token classifier loads it, as a reward model or as a critic.

1. Backbone: the policy's weights, copied. Its output layer is dropped.
2. Head: a linear layer that starts at 0, so that every line starts at the score 0, and that computes in float32 whatever
   the precision of the backbone.
3. No dropout before the head, where transformers would put 0.1: scores are a function of the program.

Shape legend: B sequences, L padded length, K lines read.
"""

import copy
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from huggingface_hub.errors import HfHubHTTPError
from torch import Tensor, nn
from transformers import AutoConfig, AutoModelForTokenClassification, AutoTokenizer
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_CAUSAL_LM_MAPPING,
    MODEL_FOR_MASKED_LM_MAPPING,
    MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING,
)

from linewise.errors import PolicyError
from linewise.policy.huggingface import merged_weights
from linewise.policy.huggingface_attention import use_training_attention
from linewise.policy.huggingface_forward import unwrap
from linewise.policy.huggingface_load import LoadedModel, add_lora, ensure_pad_token
from linewise.policy.lora import LoraOptions
from linewise.policy.memory import keep_freed_memory
from linewise.policy.names import resolve_policy, suggestion


class ScalarHead(nn.Linear):
    """A linear layer that leaves autocast and computes in float32; its state is that of `nn.Linear`."""

    def forward(self, hidden: Tensor) -> Tensor:
        """[B, L, H] -> [B, L, 1]"""
        with torch.autocast(hidden.device.type, enabled=False):
            return super().forward(hidden.float())


@dataclass(frozen=True, kw_only=True)
class LineBatch:
    """Padded sequences and the places at which lines end.

    Example: sequences `[5, 6, 7]` and `[8, 9]`, lines ending at 1 and 2 of the first and 1 of the second:
    `token_ids [[5, 6, 7], [8, 9, 0]]`, `mask [[True] * 3, [True, True, False]]`, `rows [0, 0, 1]`, `columns [1, 2, 1]`.
    """

    token_ids: Tensor
    """[B, L] int64, padded on the right: a causal model sees no padding from a token, and counts positions from 0."""
    mask: Tensor
    """[B, L] True on tokens."""
    rows: Tensor
    """[K] sequence of each line."""
    columns: Tensor
    """[K] last token of each line."""


def load_prm(
    name: str, *, device: str | torch.device = "cpu", lora: LoraOptions | None = None, trained: bool = False
) -> LoadedModel:
    """A process reward model from a causal checkpoint (`resolve_policy`'s names), or one that was saved earlier.

    A fresh head starts at 0; a saved one is kept. With `lora` of a rank above 0 only fresh adapters and the head are
    trainable. `trained` refuses a checkpoint without a head. Weights are float32. Raises `PolicyError` for models that
    have no token classifier, for encoder-decoders, and for models that see later tokens.
    """
    source = resolve_policy(name)
    try:
        config = AutoConfig.from_pretrained(source)
        check_architecture(name, config)
        config.num_labels, config.classifier_dropout = 1, 0.0
        tokenizer = AutoTokenizer.from_pretrained(source)
        with without_load_report():
            model, info = AutoModelForTokenClassification.from_pretrained(
                source, config=config, dtype=torch.float32, output_loading_info=True
            )
    except PolicyError:
        raise
    except (OSError, ValueError, KeyError, RuntimeError, HfHubHTTPError) as error:
        reason = str(error).strip().splitlines()[0]
        raise PolicyError(
            f"The process reward model '{name}' could not be loaded from '{source}' ({type(error).__name__}: {reason}). "
            f"Give a causal language model, or the folder that `linewise prm train` wrote.{suggestion(name)}"
        ) from error
    fresh = install_head(model, missing=info["missing_keys"])
    if fresh and trained:
        raise PolicyError(
            f"'{name}' is a language model without a trained head, so it scores no lines. Train one with "
            "`linewise prm train` and give the folder 'prm' that it writes."
        )
    ensure_pad_token(tokenizer)
    model.config.pad_token_id = tokenizer.pad_token_id
    model = model.to(device).eval()
    if model.device.type == "cpu":
        keep_freed_memory()
        use_training_attention(model)
    if lora is not None and lora.rank != 0:
        model = add_head_lora(model, lora)
    return LoadedModel(model=model, tokenizer=tokenizer)


def check_architecture(name: str, config: Any) -> None:
    """Raises PolicyError unless a model of this configuration can be a causal token classifier."""
    kind = type(config)
    if config.is_encoder_decoder:
        reason = "an encoder-decoder, whose token classifier reads the encoder alone"
    elif kind not in MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING:
        reason = "an architecture for which transformers has no token classifier"
    elif kind not in MODEL_FOR_CAUSAL_LM_MAPPING or (
        kind in MODEL_FOR_MASKED_LM_MAPPING and not getattr(config, "is_decoder", False)
    ):
        reason = "no causal model: a line's score would see the lines after it"
    else:
        return
    raise PolicyError(
        f"'{name}' (type '{config.model_type}') cannot become a process reward model: it is {reason}. Use a decoder-only "
        "model such as Llama, Qwen2, Qwen3, Mistral, Gemma2, Phi3 or GPT-2; it must share the tokeniser of the policy."
    )


def head_name(model: Any) -> str:
    """Name of the linear layer that makes one number of a hidden state."""
    names = [
        name
        for name, module in model.named_children()
        if name != model.base_model_prefix and isinstance(module, nn.Linear) and module.out_features == 1
    ]
    if len(names) != 1:
        raise PolicyError(
            f"{type(model).__name__} has {len(names)} heads with one output; a process reward model needs exactly one."
        )
    return str(names[0])


def install_head(model: Any, *, missing: Sequence[str]) -> bool:
    """Let the head compute in float32, and start at 0 where it was not in the checkpoint; returns whether it was not.

    Raises PolicyError where anything but the head was not in the checkpoint.
    """
    name = head_name(model)
    lost = sorted(key for key in missing if not key.startswith(f"{name}."))
    if lost:
        raise PolicyError(
            f"The checkpoint lacks weights of {type(model).__name__}: {', '.join(lost[:3])} ... It is no whole model."
        )
    head = model.get_submodule(name)
    scalar = ScalarHead(head.in_features, 1, bias=head.bias is not None)
    if missing:
        nn.init.zeros_(scalar.weight)
        if scalar.bias is not None:
            nn.init.zeros_(scalar.bias)
    else:
        scalar.load_state_dict(head.state_dict())
    model.set_submodule(name, scalar)
    return bool(missing)


def add_head_lora(model: Any, options: LoraOptions) -> Any:
    """Adapters on the backbone; the head stays a plain layer and trains in full."""
    name = head_name(model)
    adapted = add_lora(model, options, head=name)
    unwrap(adapted).get_submodule(name).requires_grad_(True)
    return adapted


def line_batch(
    sequences: Sequence[Sequence[int]], positions: Sequence[Sequence[int]], *, pad_id: int, device: torch.device
) -> LineBatch:
    """Pad sequences on the right; `positions` are the line ends of each."""
    width = max(map(len, sequences))
    token_ids = torch.full((len(sequences), width), pad_id)
    mask = torch.zeros(token_ids.shape, dtype=torch.bool)
    for row, sequence in enumerate(sequences):
        token_ids[row, : len(sequence)] = torch.tensor(sequence)
        mask[row, : len(sequence)] = True
    places = [(row, place) for row, ours in enumerate(positions) for place in ours]
    rows, columns = torch.tensor(places, dtype=torch.long).reshape(-1, 2).unbind(dim=1)
    return LineBatch(
        token_ids=token_ids.to(device), mask=mask.to(device), rows=rows.to(device), columns=columns.to(device)
    )


def line_scores(model: Any, batch: LineBatch) -> Tensor:
    """[K] float32 scores R_phi(x, y^(1..m)) at the line ends, not clipped. Differentiable."""
    logits: Tensor = model(input_ids=batch.token_ids, attention_mask=batch.mask, use_cache=False).logits
    return logits[batch.rows, batch.columns, 0].float()


def save_prm(model: Any, tokenizer: Any, folder: Path) -> None:
    """Write the model, LoRA adapters merged, as a plain token classifier in float32, with its tokeniser.

    Merging happens on the way to the file: the trained model stays as it is.
    """
    base = unwrap(model)
    with torch.device("meta"):
        twin = type(base)(copy.deepcopy(base.config))
    merged, state = merged_weights(model), base.state_dict()
    # What is no parameter is a buffer, which adapters leave alone.
    weights = {
        name: merged[name]().float().cpu() if name in merged else state[name].cpu() for name in twin.state_dict()
    }
    twin.load_state_dict(weights, strict=True, assign=True)
    twin.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


@contextmanager
def without_load_report() -> Iterator[None]:
    """Within the block transformers reports no weights that only the checkpoint or only the model has, nor sharding.

    The language model's output layer and a fresh head are such weights, as they should; all others are checked.
    """
    names = ("transformers.modeling_utils", "transformers.distributed.tensor_parallel")
    loggers = [logging.getLogger(name) for name in names]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
