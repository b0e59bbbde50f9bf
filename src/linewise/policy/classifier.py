"""Token classifiers that judge programs: a causal language model with a few numbers for each token instead of a vocabulary.

Each is an `AutoModelForTokenClassification`: any library that loads a token classifier loads it.

1. Backbone: the policy's weights, copied. Its output layer is dropped.
2. Head: a linear layer that starts at 0, so that every token starts with equal numbers, and that computes in float32
   whatever the precision of the backbone.
3. No dropout before the head, where transformers would put 0.1: what is said is a function of the program.

Shape legend: B sequences, L padded length, C numbers of a token.
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

TOKENS_PER_BATCH = 8192
"""Padded tokens of one forward pass without gradients."""


@dataclass(frozen=True, kw_only=True)
class ClassifierKind:
    """What a classifier is called, in errors, and what its numbers are."""

    name: str
    """Such as `process reward model`."""
    article: str = "a"
    """`a` or `an`."""
    labels: tuple[str, ...]
    """[C] names of the numbers, as they stand in the checkpoint's config."""
    command: str
    """The command that trains one."""
    folder: str
    """The folder that it writes."""
    untrained: str
    """What one without a trained head cannot do, such as `scores no lines`."""


class Float32Head(nn.Linear):
    """A linear layer that leaves autocast and computes in float32; its state is that of `nn.Linear`."""

    def forward(self, hidden: Tensor) -> Tensor:
        """[B, L, H] -> [B, L, C]"""
        with torch.autocast(hidden.device.type, enabled=False):
            return super().forward(hidden.float())


def load_classifier(
    name: str,
    kind: ClassifierKind,
    *,
    device: str | torch.device = "cpu",
    lora: LoraOptions | None = None,
    trained: bool = False,
) -> LoadedModel:
    """A classifier from a causal checkpoint (`resolve_policy`'s names), or one of this kind that was saved earlier.

    A fresh head starts at 0; a saved one is kept. With `lora` of a rank above 0 only fresh adapters and the head are
    trainable. `trained` refuses a checkpoint without a head. Weights are float32. Raises `PolicyError` for models that
    have no token classifier, for encoder-decoders, and for models that see later tokens.
    """
    source = resolve_policy(name)
    try:
        config = AutoConfig.from_pretrained(source)
        check_architecture(name, config, kind)
        config.num_labels, config.classifier_dropout = len(kind.labels), 0.0
        config.id2label = dict(enumerate(kind.labels))
        config.label2id = {label: index for index, label in enumerate(kind.labels)}
        tokenizer = AutoTokenizer.from_pretrained(source)
        with without_load_report():
            model, info = AutoModelForTokenClassification.from_pretrained(
                source, config=config, dtype=torch.float32, output_loading_info=True
            )
    except PolicyError:
        raise
    except (OSError, ValueError, KeyError, RuntimeError, HfHubHTTPError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise PolicyError(
            f"The {kind.name} '{name}' could not be loaded from '{source}' ({type(error).__name__}: {reason}). "
            f"Give a causal language model, or the folder that `{kind.command}` wrote.{suggestion(name)}"
        ) from error
    fresh = install_head(model, missing=info["missing_keys"], kind=kind)
    if fresh and trained:
        raise PolicyError(
            f"'{name}' is a language model without a trained head, so it {kind.untrained}. Train one with "
            f"`{kind.command}` and give the folder '{kind.folder}' that it writes."
        )
    ensure_pad_token(tokenizer)
    model.config.pad_token_id = tokenizer.pad_token_id
    model = model.to(device).eval()
    if model.device.type == "cpu":
        keep_freed_memory()
        use_training_attention(model)
    if lora is not None and lora.rank != 0:
        model = add_head_lora(model, lora, kind)
    return LoadedModel(model=model, tokenizer=tokenizer)


def check_architecture(name: str, config: Any, kind: ClassifierKind) -> None:
    """Raises PolicyError unless a model of this configuration can be a causal token classifier."""
    architecture = type(config)
    if config.is_encoder_decoder:
        reason = "an encoder-decoder, whose token classifier reads the encoder alone"
    elif architecture not in MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING:
        reason = "an architecture for which transformers has no token classifier"
    elif architecture not in MODEL_FOR_CAUSAL_LM_MAPPING or (
        architecture in MODEL_FOR_MASKED_LM_MAPPING and not getattr(config, "is_decoder", False)
    ):
        reason = "no causal model: what it says of a token would depend on the tokens after it"
    else:
        return
    raise PolicyError(
        f"'{name}' (type '{config.model_type}') cannot become {kind.article} {kind.name}: it is {reason}. Use a decoder-only "
        "model such as Llama, Qwen2, Qwen3, Mistral, Gemma2, Phi3 or GPT-2; it must share the tokeniser of the policy."
    )


def head_name(model: Any, kind: ClassifierKind) -> str:
    """Name of the linear layer that makes the numbers of a hidden state."""
    names = [
        name
        for name, module in model.named_children()
        if name != model.base_model_prefix and isinstance(module, nn.Linear) and module.out_features == len(kind.labels)
    ]
    if len(names) != 1:
        raise PolicyError(
            f"{type(model).__name__} has {len(names)} heads of {len(kind.labels)} outputs; {kind.article} {kind.name} "
            "needs exactly one."
        )
    return str(names[0])


def install_head(model: Any, *, missing: Sequence[str], kind: ClassifierKind) -> bool:
    """Let the head compute in float32, and start at 0 where it was not in the checkpoint; returns whether it was not.

    Raises PolicyError where anything but the head was not in the checkpoint.
    """
    name = head_name(model, kind)
    lost = sorted(key for key in missing if not key.startswith(f"{name}."))
    if lost:
        raise PolicyError(
            f"The checkpoint lacks weights of {type(model).__name__}: {', '.join(lost[:3])} ... It is no whole model."
        )
    head = model.get_submodule(name)
    exact = Float32Head(head.in_features, head.out_features, bias=head.bias is not None)
    if missing:
        nn.init.zeros_(exact.weight)
        if exact.bias is not None:
            nn.init.zeros_(exact.bias)
    else:
        exact.load_state_dict(head.state_dict())
    model.set_submodule(name, exact)
    return bool(missing)


def add_head_lora(model: Any, options: LoraOptions, kind: ClassifierKind) -> Any:
    """Adapters on the backbone; the head stays a plain layer and trains in full."""
    name = head_name(model, kind)
    adapted = add_lora(model, options, head=name)
    unwrap(adapted).get_submodule(name).requires_grad_(True)
    return adapted


@dataclass(frozen=True, kw_only=True)
class PaddedTokens:
    """Sequences padded on the right: a causal model sees no padding from a token, and counts positions from 0."""

    token_ids: Tensor
    """[B, L] int64"""
    mask: Tensor
    """[B, L] True on tokens."""


def pad_right(sequences: Sequence[Sequence[int]], *, pad_id: int, device: torch.device) -> PaddedTokens:
    """Sequences as one rectangle. Example: `[5, 6], [7]` with pad_id 0 give `[[5, 6], [7, 0]]`."""
    width = max(map(len, sequences))
    token_ids = torch.full((len(sequences), width), pad_id)
    mask = torch.zeros(token_ids.shape, dtype=torch.bool)
    for row, sequence in enumerate(sequences):
        token_ids[row, : len(sequence)] = torch.tensor(sequence)
        mask[row, : len(sequence)] = True
    return PaddedTokens(token_ids=token_ids.to(device), mask=mask.to(device))


def token_logits(model: Any, token_ids: Tensor, mask: Tensor) -> Tensor:
    """[B, L, C] float32 numbers of each token. Differentiable."""
    logits: Tensor = model(input_ids=token_ids, attention_mask=mask, use_cache=False).logits
    return logits.float()


def check_same_tokens(ours: Any, other: Any, kind: ClassifierKind) -> None:
    """Raises PolicyError unless token ids of the policy's tokeniser `other` mean the same to the classifier's."""
    if other.get_vocab() != ours.get_vocab():
        raise PolicyError(
            f"the policy and the {kind.name} have different tokenisers, so the model cannot read the "
            f"policy's tokens: train it from a policy of the same family (`{kind.command} --policy`)."
        )


def check_context(model: Any, length: int, kind: ClassifierKind) -> None:
    """Raises PolicyError for a sequence of more tokens than the model has positions."""
    limit = getattr(model.config, "max_position_embeddings", None)
    if limit is not None and length > limit:
        raise PolicyError(
            f"A prompt with its program has {length} tokens, beyond the {kind.name}'s {limit} positions. "
            "Score shorter programs, or train a model with a longer context."
        )


def save_classifier(model: Any, tokenizer: Any, folder: Path) -> None:
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
