"""Small language models with random weights and tokenisers for code, to be pretrained from nothing.

The tokeniser is a byte-level BPE that never merges across a line end, and in which a line end and the indentation after it
make one token, as in the tokenisers of code models; digits stand alone.
"""

from collections.abc import Iterable
from typing import Any

import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from linewise.policy.huggingface_load import LoadedModel

PAD, END = 0, 1
PIECES = r"\n *|[ _]?[A-Za-z]+|[ _]?[0-9]| ?[^\sA-Za-z0-9]+|\s+"
"""A line end with its indentation, a word, a digit, signs, or other white space."""
NUM_POSITIONS = 512


def train_tokenizer(texts: Iterable[str], vocabulary: int) -> Any:
    """A tokeniser of `vocabulary` tokens, with `<pad>` = 0 and `</s>` = 1; the same for the same texts."""
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PIECES), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=["<pad>", "</s>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=backend, pad_token="<pad>", eos_token="</s>")


def small_causal(
    tokenizer: Any,
    *,
    hidden_size: int,
    intermediate_size: int,
    num_layers: int,
    num_heads: int,
    num_key_value_heads: int,
    seed: int,
) -> LoadedModel:
    """A Llama-type model with random weights, the same for the same seed; input and output embeddings are one."""
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=hidden_size,
        intermediate_size=intermediate_size,
        num_hidden_layers=num_layers,
        num_attention_heads=num_heads,
        num_key_value_heads=num_key_value_heads,
        max_position_embeddings=NUM_POSITIONS,
        tie_word_embeddings=True,
        pad_token_id=PAD,
        bos_token_id=None,
        eos_token_id=END,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = LlamaForCausalLM(config)
    return LoadedModel(model=model.eval(), tokenizer=tokenizer)
