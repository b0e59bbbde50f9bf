"""How the two kinds of language model are called: decoder-only ("causal") and encoder-decoder.

Both read every distinct prompt once (`prefill`) and then extend all live rows by one token (`step`).
"""

import inspect
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch.nn.parallel import DistributedDataParallel
from transformers.cache_utils import DynamicCache, EncoderDecoderCache
from transformers.modeling_outputs import BaseModelOutput

from linewise.errors import PolicyError
from linewise.policy.huggingface_cache import RowCache, attention_layers, keys_and_values


@dataclass(frozen=True, kw_only=True)
class Prefill:
    """What a model knows after reading B distinct prompts."""

    logits: torch.Tensor
    """[B, V] for the first token of the completion."""
    cache: DynamicCache
    """Self-attention cache of B left-padded rows."""
    lengths: tuple[int, ...]
    """[B] columns of `cache` that are not padding."""
    cross: "Cross | None" = None
    """The encoder's side, for encoder-decoder models."""


@dataclass(frozen=True, kw_only=True)
class Cross:
    """What the decoder sees of the encoder, one row for each prompt or for each live row."""

    cache: DynamicCache
    states: torch.Tensor
    """[B, P, hidden size]"""
    mask: torch.Tensor
    """[B, P] True where the prompt is."""

    def select(self, rows: torch.Tensor) -> "Cross":
        """The given rows, in the given order, repeated where named twice."""
        cache = DynamicCache()
        for index, layer in enumerate(attention_layers(self.cache)):
            keys, values = keys_and_values(layer)
            cache.update(keys[rows], values[rows], index)
        return Cross(cache=cache, states=self.states[rows], mask=self.mask[rows])


class Forward(Protocol):
    """One kind of language model."""

    refills: bool
    """Whether a row may join others that have already sampled tokens."""

    def prefill(self, prompts: Sequence[Sequence[int]]) -> Prefill:
        """Read distinct prompts."""

    def step(self, token_ids: torch.Tensor, starts: torch.Tensor, cache: RowCache, cross: Cross | None) -> torch.Tensor:
        """[R, V] logits after the tokens [R] of all live rows, whose first columns are `starts` [R]."""


class CausalForward:
    """A decoder-only model: the prompt and the completion are one sequence."""

    refills = True

    def __init__(self, model: Any, pad_id: int) -> None:
        check_cache_kind(model)
        self._model = model
        self._pad_id = pad_id
        accepted = inspect.signature(model.forward).parameters
        self._takes_positions = "position_ids" in accepted

    def prefill(self, prompts: Sequence[Sequence[int]]) -> Prefill:
        """Left-pad and read the prompts."""
        token_ids, mask = left_pad(prompts, self._pad_id, self._model.device)
        cache = DynamicCache()
        positions = {"position_ids": (mask.long().cumsum(-1) - 1).clamp(min=0)} if self._takes_positions else {}
        rows = torch.arange(len(prompts), device=mask.device)
        with logits_only_at(self._model, rows, torch.full_like(rows, mask.shape[1] - 1)):
            output = self._model(
                input_ids=token_ids, attention_mask=mask, past_key_values=cache, use_cache=True, **positions
            )
        return Prefill(logits=output.logits[0], cache=cache, lengths=tuple(map(len, prompts)))

    def step(self, token_ids: torch.Tensor, starts: torch.Tensor, cache: RowCache, cross: Cross | None) -> torch.Tensor:
        """Extend every live row by one token."""
        window = cache.window
        columns = torch.arange(window.start, window.cursor + 1, device=starts.device)
        positions = {"position_ids": (window.cursor - starts)[:, None]} if self._takes_positions else {}
        output = self._model(
            input_ids=token_ids[:, None],
            attention_mask=columns >= starts[:, None],
            past_key_values=cache.cache,
            use_cache=True,
            **positions,
        )
        logits: torch.Tensor = output.logits[:, -1]
        return logits


class EncoderDecoderForward:
    """An encoder-decoder model: the encoder reads the prompt, the decoder writes the completion from a start token."""

    # Decoders with absolute positions (BART) take no position_ids, so all rows of a batch must be equally old.
    refills = False

    def __init__(self, model: Any, pad_id: int) -> None:
        check_cache_kind(model)
        self._model = model
        self._pad_id = pad_id
        self._start_id = decoder_start_id(model)

    def prefill(self, prompts: Sequence[Sequence[int]]) -> Prefill:
        """Encode the prompts and read the decoder's start token."""
        token_ids, mask = left_pad(prompts, self._pad_id, self._model.device)
        token_ids, mask = padding_to_right(token_ids, mask)
        states = self._model.get_encoder()(input_ids=token_ids, attention_mask=mask).last_hidden_state
        caches = EncoderDecoderCache(DynamicCache(), DynamicCache())
        start = torch.full((len(prompts), 1), self._start_id, device=token_ids.device)
        logits = self._decode(start, caches, states, mask)
        cross = Cross(cache=caches.cross_attention_cache, states=states, mask=mask)
        return Prefill(logits=logits, cache=caches.self_attention_cache, lengths=(1,) * len(prompts), cross=cross)

    def step(self, token_ids: torch.Tensor, starts: torch.Tensor, cache: RowCache, cross: Cross | None) -> torch.Tensor:
        """Extend every live row by one token. The rows are equally old, so `starts` are all 0."""
        assert cross is not None
        assert cache.window.start == 0
        return self._decode(token_ids[:, None], EncoderDecoderCache(cache.cache, cross.cache), cross.states, cross.mask)

    def _decode(
        self, token_ids: torch.Tensor, caches: EncoderDecoderCache, states: torch.Tensor, mask: torch.Tensor
    ) -> torch.Tensor:
        output = self._model(
            encoder_outputs=BaseModelOutput(last_hidden_state=states),
            attention_mask=mask,
            decoder_input_ids=token_ids,
            past_key_values=caches,
            use_cache=True,
        )
        logits: torch.Tensor = output.logits[:, -1]
        return logits


def unwrap(model: Any) -> Any:
    """The `PreTrainedModel` inside a `DistributedDataParallel` and a `PeftModel`, or the model itself."""
    inner = model.module if isinstance(model, DistributedDataParallel) else model
    return inner.get_base_model() if hasattr(inner, "get_base_model") else inner


@contextmanager
def logits_only_at(model: Any, rows: torch.Tensor, columns: torch.Tensor) -> Iterator[None]:
    """Within the block, the model's output layer sees its hidden states [B, L, H] at (row, column) alone, as [1, N, H].

    The logits come out as [1, N, V]; what the model does to them afterwards (scaling, soft-capping) still applies.
    Raises `PolicyError` for a model without an output layer.
    """
    head = unwrap(model).get_output_embeddings()
    if head is None:
        raise PolicyError(f"{type(unwrap(model)).__name__} has no output layer; use a language model.")

    def select(module: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        hidden, *others = inputs
        return (hidden[rows, columns][None], *others)

    hook = head.register_forward_pre_hook(select)
    try:
        yield
    finally:
        hook.remove()


def check_cache_kind(model: Any) -> None:
    """Raise `PolicyError` for models whose state is not keys and values alone (Mamba and its hybrids)."""
    kinds = {type(layer).__name__ for layer in DynamicCache(config=model.config).layers}
    if kinds - {"DynamicLayer", "DynamicSlidingWindowLayer"}:
        names = ", ".join(sorted(kinds))
        raise PolicyError(
            f"Models of type '{model.config.model_type}' keep a state other than keys and values ({names}), "
            "which the sampler cannot handle. Use a transformer with attention in every layer."
        )


def decoder_start_id(model: Any) -> int:
    """The token that an encoder-decoder's output begins with; it is not part of a completion."""
    for config in (model.generation_config, model.config):
        start = getattr(config, "decoder_start_token_id", None)
        if start is not None:
            return int(start)
    raise PolicyError(
        f"The model of type '{model.config.model_type}' names no decoder_start_token_id. Set it in its config.json."
    )


def left_pad(
    sequences: Sequence[Sequence[int]], pad_id: int, device: torch.device
) -> tuple[torch.Tensor, torch.Tensor]:
    """Token ids [B, P] with padding on the left, and the mask [B, P] that is True on tokens."""
    width = max(map(len, sequences))
    rows = [[pad_id] * (width - len(sequence)) + list(sequence) for sequence in sequences]
    mask = [[False] * (width - len(sequence)) + [True] * len(sequence) for sequence in sequences]
    return torch.tensor(rows, device=device), torch.tensor(mask, device=device)


def padding_to_right(token_ids: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Token ids and mask [B, P] with the padding moved from the left to the right, as encoders want it.

    Encoders with absolute positions (BART) count them from the first column, whatever stands there.
    """
    order = mask.int().argsort(dim=1, descending=True, stable=True)
    return token_ids.gather(1, order), mask.gather(1, order)
