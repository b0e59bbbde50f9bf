"""`HuggingFacePolicy`: sampling from a Hugging Face language model, causal or encoder-decoder."""

import copy
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from linewise.errors import PolicyError
from linewise.policy.huggingface_attention import use_sampling_attention
from linewise.policy.huggingface_forward import CausalForward, EncoderDecoderForward, Forward, unwrap
from linewise.policy.huggingface_generation import Generation, Job, Row, Rules
from linewise.policy.huggingface_load import ensure_pad_token, load_model, render_chat
from linewise.policy.precision import has_native_bf16
from linewise.policy.token_bytes import TokenBytes
from linewise.types import Completion, Prompt, Sampling

SMALL_MODEL = 10_000_000
"""Models with fewer parameters are sampled from in float32: half precision saves them nothing."""


class HuggingFacePolicy:
    """Samples from its own copy of a model's weights, so that collection and training do not disturb each other.

    The copy holds merged weights (LoRA adapters included) in `dtype`: by default bfloat16, but float32 for models
    below 10 million parameters and on devices that would have to emulate bfloat16. `update_from` brings it up to date.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        *,
        version: int = 0,
        dtype: torch.dtype | None = None,
        device: str | torch.device | None = None,
        max_batch_rows: int = 128,
    ) -> None:
        """Copy `model` (a `PreTrainedModel` or a `PeftModel`).

        `device` is the model's own by default; `max_batch_rows` completions at most are sampled together.
        """
        ensure_pad_token(tokenizer)
        base = unwrap(model)
        if dtype is None:
            small = base.num_parameters() < SMALL_MODEL
            half = not small and has_native_bf16(torch.device(device or base.device))
            dtype = torch.bfloat16 if half else torch.float32
        self.tokenizer = tokenizer
        self.max_batch_rows = max_batch_rows
        self._model = empty_copy(base, dtype=dtype, device=torch.device(device or base.device))
        self._version = version
        self.update_from(model, version)
        end_ids = {tokenizer.eos_token_id, *_as_list(base.generation_config.eos_token_id)} - {None}
        self._end_ids = frozenset(int(end_id) for end_id in end_ids)
        self._token_bytes = TokenBytes.from_tokenizer(tokenizer, also_special=self._end_ids)
        starts = enumerate(self._token_bytes.table)
        self._line_end_ids = frozenset(index for index, data in starts if data.startswith((b"\n", b"\r")))
        use_sampling_attention(self._model)
        kind = EncoderDecoderForward if base.config.is_encoder_decoder else CausalForward
        self._forward: Forward = kind(self._model, tokenizer.pad_token_id)

    @property
    def version(self) -> int:
        """Number of updates the weights have seen."""
        return self._version

    @torch.no_grad()
    def update_from(self, model: Any, version: int) -> None:
        """Copy the weights of a model of the same kind, merging LoRA adapters on the way; the model stays as it is."""
        weights = dict(merged_weights(model))
        for name, parameter in self._model.named_parameters():
            parameter.copy_(weights[name]())
        for name, buffer in self._model.named_buffers():
            buffer.copy_(unwrap(model).get_buffer(name))
        self._version = version

    def save_pretrained(self, folder: Path) -> None:
        """Write the sampler's weights, adapters merged, and the tokeniser in Hugging Face format."""
        self._model.save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)

    def render_chat(self, messages: Sequence[Mapping[str, str]]) -> str | None:
        """The messages in the model's chat template, ready for the assistant's answer; None without a template."""
        return render_chat(self.tokenizer, messages)

    def generate(
        self,
        prompts: Sequence[Prompt],
        *,
        num_samples: int,
        sampling: Sampling,
        seed: int,
        is_complete: Callable[[Prompt, str], bool],
        progress: Callable[[int], None] | None = None,
    ) -> list[list[Completion]]:
        """`num_samples` completions of each prompt, in order (see `linewise.types.Policy`).

        A completion's random numbers depend on `seed`, on the prompt's index (or its `stream`) and on its own index alone.
        After a beginning that `ends_line` the first token is drawn from the line ends and the ends of the answer. Raises
        `PolicyError` for prompts without tokens or beyond the model's context length, and for non-finite logits.
        """
        jobs = self._jobs(prompts, num_samples=num_samples, sampling=sampling, seed=seed)
        rules = Rules(
            sampling=sampling, end_ids=self._end_ids, line_end_ids=self._line_end_ids, is_complete=is_complete
        )
        results: dict[tuple[int, int], Completion] = {}
        with torch.inference_mode():
            for row in Generation(self._forward, jobs, rules, max_rows=self.max_batch_rows):
                results[row.place] = row.completion(self._version)
                if progress is not None:
                    progress(1)
        return [[results[index, sample] for sample in range(num_samples)] for index in range(len(prompts))]

    def _jobs(self, prompts: Sequence[Prompt], *, num_samples: int, sampling: Sampling, seed: int) -> list[Job]:
        two_sides = bool(self._model.config.is_encoder_decoder)
        rows: dict[tuple[int, ...], list[Row]] = {}
        for index, prompt in enumerate(prompts):
            prompt_ids = tuple(self.tokenizer(prompt.text, add_special_tokens=prompt.special_tokens)["input_ids"])
            begun = self._begun_ids(prompt)
            if not two_sides:
                prompt_ids += begun
            self._check_length(prompt, prompt_ids, sampling)
            for sample in range(num_samples):
                random = np.random.default_rng([seed, index if prompt.stream is None else prompt.stream, sample])
                row = Row(
                    prompt=prompt,
                    prompt_ids=prompt_ids,
                    place=(index, sample),
                    uniforms=random.random(sampling.max_new_tokens, dtype=np.float32),
                    text=self._token_bytes.decoder(at_start=two_sides and not begun),
                    given=begun if two_sides else (),
                )
                rows.setdefault(prompt_ids, []).append(row)
        return [Job(prompt_ids=prompt_ids, rows=tuple(same)) for prompt_ids, same in rows.items()]

    def _begun_ids(self, prompt: Prompt) -> tuple[int, ...]:
        if prompt.begun is None:
            return ()
        if prompt.begun.token_ids is not None:
            return prompt.begun.token_ids
        return tuple(self.tokenizer(prompt.begun.text, add_special_tokens=False)["input_ids"])

    def _check_length(self, prompt: Prompt, prompt_ids: Sequence[int], sampling: Sampling) -> None:
        if not prompt_ids:
            raise PolicyError(f"The prompt of task '{prompt.task_id}' has no tokens. Give it a text.")
        limit = getattr(self._model.config, "max_position_embeddings", None)
        both = 0 if self._model.config.is_encoder_decoder else sampling.max_new_tokens
        if limit is not None and len(prompt_ids) + both > limit:
            raise PolicyError(
                f"The prompt of task '{prompt.task_id}' has {len(prompt_ids)} tokens; with max_new_tokens = "
                f"{sampling.max_new_tokens} it exceeds the model's {limit} positions. Lower max_new_tokens or drop "
                "the task."
            )


def load_policy(
    name: str, *, dtype: torch.dtype | None = None, device: str | torch.device = "cpu", max_batch_rows: int = 128
) -> HuggingFacePolicy:
    """A policy to sample from, without a model to train; see `load_model` for the names and the errors."""
    loaded = load_model(name, device=device)
    return HuggingFacePolicy(loaded.model, loaded.tokenizer, dtype=dtype, max_batch_rows=max_batch_rows)


def empty_copy(model: Any, *, dtype: torch.dtype, device: torch.device) -> Any:
    """A model of the same architecture with empty parameters of `dtype`; buffers keep the original's type."""
    with torch.device("meta"):
        twin = type(model)(copy.deepcopy(model.config)).to(dtype)
    twin.to_empty(device=device)
    twin.tie_weights()
    for name, _ in list(twin.named_buffers()):
        owner, _, leaf = name.rpartition(".")
        # Rotary frequencies in half precision would move the positions.
        setattr(twin.get_submodule(owner), leaf, model.get_buffer(name).to(device, copy=True))
    twin.generation_config = copy.deepcopy(model.generation_config)
    return twin.requires_grad_(False).eval()


def merged_weights(model: Any) -> dict[str, Callable[[], torch.Tensor]]:
    """For each parameter of the model without adapters, a function that computes its weight with them."""
    base = unwrap(model)
    plain = {name.replace(".base_layer.", "."): parameter for name, parameter in base.named_parameters()}
    weights: dict[str, Callable[[], torch.Tensor]] = {name: parameter.detach for name, parameter in plain.items()}
    for name, module in base.named_modules():
        if hasattr(module, "get_delta_weight"):
            weights[f"{name}.weight"] = _adapted(module)
    return weights


def _adapted(module: Any) -> Callable[[], torch.Tensor]:
    def weight() -> torch.Tensor:
        total: torch.Tensor = module.get_base_layer().weight.detach().clone()
        for adapter in module.active_adapters:
            total += module.get_delta_weight(adapter).detach().to(total.dtype)
        return total

    return weight


def _as_list(value: int | list[int] | None) -> list[int]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]
