"""`response_logprobs` equals the plain computation over full logits, in value and in gradient."""

import pytest

torch = pytest.importorskip("torch")

from transformers import (  # noqa: E402
    BartConfig,
    BartForConditionalGeneration,
    Gemma2Config,
    Gemma2ForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
)

from linewise.policy import huggingface_logprobs  # noqa: E402
from linewise.policy.huggingface_load import LoraOptions, add_lora  # noqa: E402
from linewise.policy.huggingface_logprobs import SequenceBatch, response_logprobs  # noqa: E402
from linewise.policy.tiny import tiny_causal, tiny_t5  # noqa: E402

PROMPTS = [[70, 71, 72, 73], [80], [90, 91]]
RESPONSES = [[5, 6], [7, 8, 9, 1], [10, 11, 12]]


def gemma2():
    """Soft-caps its logits after the output layer."""
    torch.manual_seed(3)
    config = Gemma2Config(
        vocab_size=258,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=16,
        sliding_window=3,
        final_logit_softcapping=0.5,
        attn_logit_softcapping=5.0,
        attn_implementation="eager",
    )
    return Gemma2ForCausalLM(config).eval()


def gpt2():
    """Learned absolute positions."""
    torch.manual_seed(4)
    config = GPT2Config(vocab_size=258, n_positions=32, n_embd=32, n_layer=2, n_head=2, bos_token_id=1, eos_token_id=1)
    return GPT2LMHeadModel(config).eval()


def bart():
    """An encoder-decoder with learned absolute positions on both sides, counted from the first column."""
    torch.manual_seed(6)
    config = BartConfig(
        vocab_size=258,
        d_model=32,
        encoder_layers=2,
        decoder_layers=2,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=64,
        decoder_ffn_dim=64,
        max_position_embeddings=32,
        init_std=0.3,
        pad_token_id=0,
        eos_token_id=1,
        decoder_start_token_id=1,
        forced_eos_token_id=None,
    )
    return BartForConditionalGeneration(config).eval()


def with_lora(model):
    adapted = add_lora(model, LoraOptions(rank=2, alpha=8))
    torch.manual_seed(5)
    for name, parameter in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.3)
    return adapted


MODELS = {
    "llama": lambda: tiny_causal().model,
    "t5": lambda: tiny_t5().model,
    "gemma2 soft-capping": gemma2,
    "gpt2": gpt2,
    "bart": bart,
    "llama with LoRA": lambda: with_lora(tiny_causal().model),
    "t5 with LoRA": lambda: with_lora(tiny_t5().model),
}


def padded_batch(loss_mask=None):
    return SequenceBatch(
        prompt_ids=torch.tensor([[70, 71, 72, 73], [0, 0, 0, 80], [0, 0, 90, 91]]),
        prompt_mask=torch.tensor([[1, 1, 1, 1], [0, 0, 0, 1], [0, 0, 1, 1]]).bool(),
        response_ids=torch.tensor([[5, 6, 0, 0], [7, 8, 9, 1], [10, 11, 12, 0]]),
        response_mask=torch.tensor([[1, 1, 0, 0], [1, 1, 1, 1], [1, 1, 1, 0]]).bool(),
        loss_mask=loss_mask,
    )


def plain_logprobs(model, prompt, response):
    """One sequence, no padding, full logits."""
    if model.config.is_encoder_decoder:
        start = model.config.decoder_start_token_id
        decoder_ids = torch.tensor([[start, *response[:-1]]])
        logits = model(input_ids=torch.tensor([prompt]), decoder_input_ids=decoder_ids).logits[0]
    else:
        logits = model(input_ids=torch.tensor([prompt + response])).logits[0, len(prompt) - 1 : -1]
    return logits.float().log_softmax(-1).gather(1, torch.tensor(response)[:, None])[:, 0]


def gradients(model, loss):
    model.zero_grad()
    loss.backward()
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("name", MODELS)
def test_equals_full_logits_in_value_and_gradient(name):
    model = MODELS[name]()
    plain = [plain_logprobs(model, p, r) for p, r in zip(PROMPTS, RESPONSES, strict=True)]
    factor = torch.tensor([[1.0, -2.0, 9, 9], [0.5, 3.0, 1.0, 2.0], [-1.0, 1.0, 4.0, 9]])
    expected = gradients(model, sum((row * factor[i, : len(row)]).sum() for i, row in enumerate(plain)))

    logprobs = response_logprobs(model, padded_batch()).logprobs
    actual = gradients(model, (logprobs * factor).sum())

    assert logprobs.dtype == torch.float32
    for row, reference in zip(logprobs, plain, strict=True):
        torch.testing.assert_close(row[: len(reference)], reference, atol=2e-5, rtol=1e-5)
        assert (row[len(reference) :] == 0).all()
    assert actual.keys() == expected.keys()
    assert actual
    for parameter, gradient in expected.items():
        torch.testing.assert_close(actual[parameter], gradient, atol=1e-4, rtol=1e-3, msg=parameter)


def test_loss_mask_selects_within_the_response_and_keeps_the_context():
    model = tiny_causal().model
    everything = response_logprobs(model, padded_batch()).logprobs
    chosen = torch.tensor([[0, 1, 1, 1], [0, 0, 1, 0], [0, 0, 0, 0]]).bool()
    logprobs = response_logprobs(model, padded_batch(loss_mask=chosen)).logprobs
    expected = torch.zeros(3, 4)
    expected[0, 1], expected[1, 2] = everything[0, 1], everything[1, 2]
    torch.testing.assert_close(logprobs, expected, atol=1e-5, rtol=1e-5)


def test_the_output_layer_sees_the_wanted_positions_alone():
    model = tiny_causal().model
    shapes = []
    model.lm_head.register_forward_hook(lambda module, inputs, output: shapes.append(tuple(output.shape)))
    response_logprobs(model, padded_batch())
    assert shapes == [(1, 2 + 4 + 3, 258)]
    model(input_ids=torch.tensor([[5, 6]]))
    assert shapes[1] == (1, 2, 258)


def test_entropy_is_that_of_the_whole_distribution():
    model = tiny_causal().model
    result = response_logprobs(model, padded_batch(), with_entropy=True)
    logits = model(input_ids=torch.tensor([[*PROMPTS[1], *RESPONSES[1]]])).logits[0, :4]
    expected = torch.distributions.Categorical(logits=logits).entropy()
    torch.testing.assert_close(result.entropy[1], expected, atol=1e-5, rtol=1e-5)
    assert result.entropy[0, 2:].tolist() == [0.0, 0.0]
    assert not result.entropy.requires_grad


def test_chunks_do_not_change_values_or_gradients(monkeypatch):
    results = []
    for elements in (1 << 20, 258 * 2):
        monkeypatch.setattr(huggingface_logprobs, "CHUNK_ELEMENTS", elements)
        model = tiny_causal().model
        logprobs = response_logprobs(model, padded_batch()).logprobs
        results.append((logprobs.detach(), gradients(model, logprobs.square().sum())["model.embed_tokens.weight"]))
    torch.testing.assert_close(results[0], results[1])


def test_a_batch_without_wanted_tokens_is_refused():
    with pytest.raises(ValueError, match="No response token is wanted"):
        response_logprobs(tiny_causal().model, padded_batch(loss_mask=torch.zeros(3, 4, dtype=torch.bool)))
