"""Random transformers of a few hundred thousand parameters, built in code, for tests and learning tests.

`tiny` is a Llama-type causal model, `tiny-t5` an encoder-decoder; both share a byte-level tokeniser without merges, so
one token is one byte. Both are the same on every machine for the same seed.
"""

from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast, T5Config, T5ForConditionalGeneration

from linewise.policy.embedded import build_once
from linewise.policy.huggingface_load import LoadedModel
from linewise.policy.token_bytes import byte_of_char

PAD, END = 0, 1
VOCABULARY = 2 + 256


def tiny_tokenizer() -> Any:
    """One token per UTF-8 byte (id = byte + 2), with `<pad>` = 0 and `</s>` = 1."""
    bytes_first = {char: byte + 2 for char, byte in byte_of_char().items()}
    backend = Tokenizer(models.BPE(vocab={"<pad>": PAD, "</s>": END} | bytes_first, merges=[]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    backend.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=backend, pad_token="<pad>", eos_token="</s>")


def tiny_causal(seed: int = 0) -> LoadedModel:
    """A Llama-type model of 0.36 million parameters with random weights."""
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=96,
        intermediate_size=256,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=2048,
        tie_word_embeddings=True,
        pad_token_id=PAD,
        bos_token_id=None,
        eos_token_id=END,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = LlamaForCausalLM(config)
    return LoadedModel(model=model.eval(), tokenizer=tiny_tokenizer())


def tiny_t5(seed: int = 0) -> LoadedModel:
    """A T5-type model of 0.5 million parameters with random weights."""
    config = T5Config(
        vocab_size=VOCABULARY,
        d_model=96,
        d_kv=24,
        d_ff=256,
        num_layers=2,
        num_heads=4,
        dropout_rate=0.0,
        pad_token_id=PAD,
        eos_token_id=END,
    )
    config.decoder_start_token_id = PAD
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = T5ForConditionalGeneration(config)
    return LoadedModel(model=model.eval(), tokenizer=tiny_tokenizer())


def save_tiny(name: str, cache: Path) -> Path:
    """Write `tiny` or `tiny-t5` in Hugging Face format to the cache folder, once, and return its folder."""

    def build(folder: Path) -> None:
        loaded = tiny_causal() if name == "tiny" else tiny_t5()
        loaded.model.save_pretrained(folder)
        loaded.tokenizer.save_pretrained(folder)

    return build_once(cache / name, build)
