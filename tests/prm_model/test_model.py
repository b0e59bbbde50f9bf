"""The token classifier: what it starts from, what it computes, what it is on disk."""

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import (
    AutoModelForTokenClassification,
    BertConfig,
    GPT2Config,
    GPT2LMHeadModel,
    Qwen2Config,
    Qwen2ForCausalLM,
)

from linewise.errors import PolicyError
from linewise.policy.classifier import Float32Head, check_architecture, save_classifier
from linewise.policy.huggingface_forward import unwrap
from linewise.policy.lora import LoraOptions
from linewise.policy.tiny import VOCABULARY, tiny_causal, tiny_tokenizer
from linewise.prm.model import PRM, line_batch, line_scores, load_prm

SEQUENCES = [[5, 6, 7, 8, 9], [10, 11], [12, 13, 14]]
PLACES = [[1, 4], [1], [0, 1, 2]]


def batch_of(rows: list[int]) -> Any:
    return line_batch(
        [SEQUENCES[row] for row in rows], [PLACES[row] for row in rows], pad_id=0, device=torch.device("cpu")
    )


@torch.no_grad()
def scramble(model: Any, seed: int = 0) -> None:
    """Move everything that is trained, so that nothing is what it was at the start."""
    random = torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter += 0.1 * torch.randn(parameter.shape, generator=random)


@torch.no_grad()
def scores_of(model: Any, rows: list[int]) -> torch.Tensor:
    return line_scores(model.eval(), batch_of(rows))


def test_a_batch_by_hand() -> None:
    batch = line_batch([[5, 6, 7], [8, 9]], [[1, 2], [1]], pad_id=0, device=torch.device("cpu"))
    assert batch.token_ids.tolist() == [[5, 6, 7], [8, 9, 0]]
    assert batch.mask.tolist() == [[True] * 3, [True, True, False]]
    assert (batch.rows.tolist(), batch.columns.tolist()) == ([0, 0, 1], [1, 2, 1])


def test_it_starts_from_the_policy_and_scores_0() -> None:
    model = load_prm("tiny").model
    policy = tiny_causal().model
    for name, weight in policy.model.state_dict().items():
        assert torch.equal(model.model.state_dict()[name], weight), name
    assert type(model).__name__ == "LlamaForTokenClassification"
    assert model.config.num_labels == 1
    assert scores_of(model, [0, 1, 2]).tolist() == [0.0] * 6


def test_a_score_sees_neither_padding_nor_later_tokens() -> None:
    model = load_prm("tiny").model
    scramble(model)
    together = scores_of(model, [0, 1, 2])
    alone = torch.cat([scores_of(model, [row]) for row in range(3)])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-5)
    assert len(set(together.tolist())) == 6
    prefix = line_batch([SEQUENCES[0][:2]], [[1]], pad_id=0, device=torch.device("cpu"))
    with torch.no_grad():
        torch.testing.assert_close(line_scores(model, prefix)[0], together[0], atol=1e-5, rtol=1e-5)


def test_training_mode_drops_nothing() -> None:
    model = load_prm("tiny").model
    scramble(model)
    with torch.no_grad():
        torch.testing.assert_close(line_scores(model.train(), batch_of([0])), scores_of(model, [0]))


@pytest.mark.parametrize("rank", [0, 4])
def test_the_saved_model_gives_equal_scores(tmp_path: Path, rank: int) -> None:
    loaded = load_prm("tiny", lora=LoraOptions(rank=rank))
    scramble(loaded.model)
    before = scores_of(loaded.model, [0, 1, 2])
    weights = {name: value.clone() for name, value in loaded.model.state_dict().items()}
    save_classifier(loaded.model, loaded.tokenizer, tmp_path / "prm")
    for name, value in loaded.model.state_dict().items():
        assert torch.equal(value, weights[name]), "saving leaves the trained model as it is"

    plain, info = AutoModelForTokenClassification.from_pretrained(tmp_path / "prm", output_loading_info=True)
    assert not info["missing_keys"]
    assert not info["unexpected_keys"]
    assert type(plain).__name__ == "LlamaForTokenClassification", "LoRA adapters are merged"
    torch.testing.assert_close(scores_of(plain, [0, 1, 2]), before, atol=1e-4, rtol=1e-4)
    again = load_prm(str(tmp_path / "prm"), trained=True)
    torch.testing.assert_close(scores_of(again.model, [0, 1, 2]), before, atol=1e-4, rtol=1e-4)
    assert again.tokenizer.get_vocab() == loaded.tokenizer.get_vocab()


def test_lora_trains_adapters_and_the_head_alone() -> None:
    model = load_prm("tiny", lora=LoraOptions(rank=2)).model
    trainable = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert {name for name in trainable if "lora_" not in name} == {
        "base_model.model.score.weight",
        "base_model.model.score.bias",
    }
    assert not any("score" in name for name in trainable if "lora_" in name), "the head gets no adapter of its own"
    assert sum("lora_" in name for name in trainable) == 2 * 7 * 3
    assert isinstance(unwrap(model).score, Float32Head)


def test_the_head_computes_in_float32_under_autocast() -> None:
    model = load_prm("tiny").model
    scramble(model)
    seen = {}
    model.score.register_forward_hook(lambda module, inputs, output: seen.update(dtype=output.dtype))
    with torch.autocast("cpu", torch.bfloat16), torch.no_grad():
        scores = line_scores(model, batch_of([0]))
    assert seen["dtype"] == scores.dtype == torch.float32
    torch.testing.assert_close(scores, scores_of(model, [0]), atol=0.1, rtol=0.1)


@pytest.mark.parametrize("kind", ["gpt2", "qwen2"])
def test_other_architectures(tmp_path: Path, kind: str) -> None:
    sizes = {"vocab_size": VOCABULARY, "pad_token_id": 0, "bos_token_id": None, "eos_token_id": 1}
    if kind == "gpt2":
        policy: Any = GPT2LMHeadModel(GPT2Config(n_embd=32, n_layer=2, n_head=2, n_positions=64, **sizes))
    else:
        policy = Qwen2ForCausalLM(
            Qwen2Config(
                hidden_size=32,
                intermediate_size=64,
                num_hidden_layers=2,
                num_attention_heads=2,
                num_key_value_heads=1,
                max_position_embeddings=64,
                **sizes,
            )
        )
    policy.save_pretrained(tmp_path / "policy")
    tiny_tokenizer().save_pretrained(tmp_path / "policy")
    loaded = load_prm(str(tmp_path / "policy"), lora=LoraOptions(rank=2) if kind == "qwen2" else None)
    assert scores_of(loaded.model, [0]).tolist() == [0, 0]
    scramble(loaded.model)
    save_classifier(loaded.model, loaded.tokenizer, tmp_path / "prm")
    again = load_prm(str(tmp_path / "prm"), trained=True)
    torch.testing.assert_close(
        scores_of(again.model, [0, 1, 2]), scores_of(loaded.model, [0, 1, 2]), atol=1e-4, rtol=1e-4
    )


def test_what_cannot_be_a_process_reward_model_says_why(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match="encoder-decoder"):
        load_prm("tiny-t5")
    with pytest.raises(PolicyError, match="no causal model"):
        check_architecture("bert", BertConfig(), PRM)
    from transformers import GPTJConfig

    with pytest.raises(PolicyError, match="has no token classifier"):
        check_architecture("gptj", GPTJConfig(), PRM)
    with pytest.raises(PolicyError, match="without a trained head"):
        load_prm("tiny", trained=True)
    with pytest.raises(PolicyError, match="no config"):
        load_prm(str(tmp_path))


def test_a_classifier_of_many_labels_is_refused(tmp_path: Path) -> None:
    from transformers import LlamaForTokenClassification

    config = tiny_causal().model.config
    config.num_labels = 5
    LlamaForTokenClassification(config).save_pretrained(tmp_path)
    tiny_tokenizer().save_pretrained(tmp_path)
    with pytest.raises(PolicyError, match="could not be loaded"):
        load_prm(str(tmp_path))
