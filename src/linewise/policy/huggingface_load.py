"""Loading Hugging Face language models, causal and encoder-decoder, with or without LoRA adapters."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from huggingface_hub.errors import HfHubHTTPError
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSeq2SeqLM, AutoTokenizer

from linewise.errors import PolicyError
from linewise.policy.huggingface_attention import use_training_attention
from linewise.policy.lora import LoraOptions
from linewise.policy.memory import keep_freed_memory
from linewise.policy.names import resolve_policy, suggestion


@dataclass(frozen=True, kw_only=True)
class LoadedModel:
    """A model and its tokeniser."""

    model: Any
    """A `transformers.PreTrainedModel`, or a `peft.PeftModel` around one."""
    tokenizer: Any
    """A Hugging Face tokeniser with a padding token."""


def load_model(
    name: str,
    *,
    dtype: torch.dtype = torch.float32,
    device: str | torch.device = "cpu",
    lora: LoraOptions | None = None,
) -> LoadedModel:
    """Load a policy by name (see `resolve_policy`), folder or hub id.

    A decoder-only model is loaded as causal model, an encoder-decoder (T5, BART, ...) as sequence-to-sequence model.
    With `lora` of a rank above 0 only fresh adapters are trainable. Raises `PolicyError` with what was tried and the
    remedy.
    """
    source = resolve_policy(name)
    try:
        config = AutoConfig.from_pretrained(source)
        auto_class = AutoModelForSeq2SeqLM if config.is_encoder_decoder else AutoModelForCausalLM
        tokenizer = AutoTokenizer.from_pretrained(source)
        model: Any = auto_class.from_pretrained(source, dtype=dtype, config=config)
    except (OSError, ValueError, KeyError, HfHubHTTPError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise PolicyError(
            f"The policy '{name}' could not be loaded from '{source}' ({type(error).__name__}: {reason}). A hub id "
            f"needs a network, or an earlier download, and access to the model; a folder needs the files that "
            f"`save_pretrained` writes.{suggestion(name)}"
        ) from error
    ensure_pad_token(tokenizer)
    model = model.to(device).eval()
    if model.device.type == "cpu":
        keep_freed_memory()
        use_training_attention(model)
    if lora is not None and lora.rank != 0:
        model = add_lora(model, lora)
    return LoadedModel(model=model, tokenizer=tokenizer)


def ensure_pad_token(tokenizer: Any) -> None:
    """Let the end-of-sequence token pad where a tokeniser has no padding token. Padding is always masked."""
    if tokenizer.pad_token_id is not None:
        return
    if tokenizer.eos_token_id is None:
        raise PolicyError(
            "The tokeniser has neither a padding nor an end-of-sequence token. Set `eos_token` in its config."
        )
    tokenizer.pad_token = tokenizer.eos_token


def render_chat(tokenizer: Any, messages: Sequence[Mapping[str, str]]) -> str | None:
    """The messages in the tokeniser's chat template, ready for the assistant's answer; None without a template."""
    if not getattr(tokenizer, "chat_template", None):
        return None
    rendered: str = tokenizer.apply_chat_template(list(messages), tokenize=False, add_generation_prompt=True)
    return rendered


def switch_dropout_off(model: Any) -> None:
    """Let a model compute the same in training as in evaluation; the dropout of LoRA adapters, which was asked for, stays.

    Models hold probabilities in `Dropout` modules, and as numbers (`attention_dropout`, `layerdrop`) in others.
    """
    for name, module in model.named_modules():
        if "lora_dropout" in name:
            continue
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
        for attribute, value in vars(module).items():
            if "drop" in attribute and isinstance(value, float):
                setattr(module, attribute, 0.0)


def add_lora(model: Any, options: LoraOptions, *, head: str | None = None) -> Any:
    """Freeze the model and add fresh adapters, which change nothing until they are trained (B starts at 0).

    `head` names the scalar head of a model that is no language model; it gets no adapter.
    """
    from peft import LoraConfig, get_peft_model

    if options.rank < 1:
        raise PolicyError(f"lora.rank is {options.rank}; it must be at least 1, or 0 for full fine-tuning.")
    config = LoraConfig(
        r=options.rank,
        lora_alpha=options.alpha,
        lora_dropout=options.dropout,
        target_modules=options.target_modules,
        task_type=None if head else "SEQ_2_SEQ_LM" if model.config.is_encoder_decoder else "CAUSAL_LM",
        exclude_modules=[head] if head else None,
    )
    try:
        with warnings.catch_warnings():
            # peft 0.21 asks transformers 5.23 for a property by its old name.
            warnings.filterwarnings("ignore", "`is_gradient_checkpointing` is deprecated", FutureWarning)
            return get_peft_model(model, config).eval()
    except ValueError as error:
        raise PolicyError(f"LoRA adapters could not be added: {error}") from error
