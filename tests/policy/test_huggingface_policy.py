"""What is sampled has, token for token, the log-probability that the model gives it, however rows share a batch."""

import pytest

torch = pytest.importorskip("torch")

from transformers import (  # noqa: E402  # noqa: E402
    BartConfig,
    BartForConditionalGeneration,
    Gemma2Config,
    Gemma2ForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    MambaConfig,
    MambaForCausalLM,
)

from linewise.errors import PolicyError  # noqa: E402
from linewise.policy import huggingface_generation  # noqa: E402
from linewise.policy.huggingface import HuggingFacePolicy  # noqa: E402
from linewise.policy.huggingface_load import add_lora  # noqa: E402
from linewise.policy.huggingface_logprobs import SequenceBatch, response_logprobs  # noqa: E402
from linewise.policy.lora import LoraOptions  # noqa: E402
from linewise.policy.tiny import END, tiny_causal, tiny_t5, tiny_tokenizer  # noqa: E402
from linewise.types import Prompt, Sampling, StopReason  # noqa: E402


def gemma2():
    config = Gemma2Config(
        vocab_size=258,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=16,
        sliding_window=5,
        final_logit_softcapping=5.0,
        eos_token_id=END,
        attn_implementation="eager",
    )
    return Gemma2ForCausalLM(config)


def gpt2():
    config = GPT2Config(
        vocab_size=258, n_positions=96, n_embd=32, n_layer=2, n_head=2, bos_token_id=1, eos_token_id=END
    )
    return GPT2LMHeadModel(config)


def bart():
    config = BartConfig(
        vocab_size=258,
        d_model=32,
        encoder_layers=1,
        decoder_layers=2,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=64,
        decoder_ffn_dim=64,
        max_position_embeddings=96,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=END,
        decoder_start_token_id=0,
        forced_eos_token_id=None,
    )
    return BartForConditionalGeneration(config)


MODELS = {
    "llama": lambda: tiny_causal().model,
    "t5": lambda: tiny_t5().model,
    "gpt2, absolute positions": gpt2,
    "gemma2, sliding window": gemma2,
    "bart, absolute positions": bart,
}
PROMPTS = [Prompt(task_id=str(n), text="def f(" + "x" * (n * n % 11)) for n in range(9)]


def never(prompt, text):
    return False


def make_policy(model, **options):
    torch.manual_seed(0)
    return HuggingFacePolicy(model.eval(), tiny_tokenizer(), **options)


def sample(policy, prompts=PROMPTS, *, num_samples=2, max_new_tokens=12, seed=7, is_complete=never, **sampling):
    return policy.generate(
        prompts,
        num_samples=num_samples,
        sampling=Sampling(max_new_tokens=max_new_tokens, **sampling),
        seed=seed,
        is_complete=is_complete,
    )


def reference_logprobs(model, completion):
    prompt, response = completion.prompt_ids, completion.token_ids
    batch = SequenceBatch(
        prompt_ids=torch.tensor([prompt]),
        prompt_mask=torch.ones(1, len(prompt), dtype=torch.bool),
        response_ids=torch.tensor([response]),
        response_mask=torch.ones(1, len(response), dtype=torch.bool),
    )
    with torch.no_grad():
        return response_logprobs(model, batch).logprobs[0]


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("max_batch_rows", [3, 64])
def test_logprobs_are_those_of_the_model_without_cache_or_batch(name, max_batch_rows, monkeypatch):
    # So few spare columns that the cache moves its columns to the front again and again.
    monkeypatch.setattr(huggingface_generation, "SPARE_COLUMNS", 1)
    torch.manual_seed(1)
    model = MODELS[name]().eval()
    groups = sample(make_policy(model, max_batch_rows=max_batch_rows))
    assert [len(group) for group in groups] == [2] * 9
    for group in groups:
        for completion in group:
            assert 0 < len(completion.token_ids) <= 12
            expected = reference_logprobs(model, completion)
            torch.testing.assert_close(torch.tensor(completion.logprobs), expected, atol=2e-4, rtol=1e-4)


@pytest.mark.parametrize("kind", [tiny_causal, tiny_t5])
def test_samples_do_not_depend_on_the_batch_they_are_drawn_in(kind):
    model = kind().model
    together = sample(make_policy(model, max_batch_rows=64), num_samples=3)
    refilled = sample(make_policy(model, max_batch_rows=5), num_samples=3)
    alone = [sample(make_policy(model), PROMPTS[:1], num_samples=3)[0]]
    assert [[c.token_ids for c in group] for group in together] == [[c.token_ids for c in group] for group in refilled]
    assert [c.token_ids for c in together[0]] == [c.token_ids for c in alone[0]]


def test_same_seed_same_numbers_and_another_seed_others():
    policy = make_policy(tiny_causal().model)
    first = sample(policy)
    assert sample(policy) == first
    other = sample(policy, seed=8)
    assert all(a.token_ids != b.token_ids for x, y in zip(first, other, strict=True) for a, b in zip(x, y, strict=True))


def test_samples_of_one_prompt_and_of_equal_prompts_differ():
    twins = sample(make_policy(tiny_causal().model), [PROMPTS[3], PROMPTS[3]])
    assert len({completion.token_ids for group in twins for completion in group}) == 4


def test_greedy_follows_the_most_probable_token():
    model = tiny_causal().model
    ((completion,),) = sample(make_policy(model), PROMPTS[:1], num_samples=1, temperature=0.0, max_new_tokens=5)
    ids = list(completion.prompt_ids)
    for token_id in completion.token_ids:
        assert token_id == int(model(input_ids=torch.tensor([ids])).logits[0, -1].argmax())
        ids.append(token_id)


def test_every_distinct_prompt_is_read_once_and_ended_rows_are_not_sampled():
    policy = make_policy(tiny_causal().model, max_batch_rows=4)
    read, stepped = [], 0
    prefill, step = policy._forward.prefill, policy._forward.step

    def counting_prefill(prompts):
        read.extend(prompts)
        return prefill(prompts)

    def counting_step(token_ids, *rest):
        nonlocal stepped
        stepped += len(token_ids)
        return step(token_ids, *rest)

    policy._forward.prefill, policy._forward.step = counting_prefill, counting_step
    prompts = [PROMPTS[0], PROMPTS[1], PROMPTS[0]]
    groups = sample(policy, prompts, num_samples=5, is_complete=lambda prompt, text: len(text) >= 3)
    assert len(read) == 2
    lengths = [len(completion.token_ids) for group in groups for completion in group]
    assert len(set(lengths)) > 1
    # The first token of a row comes from the prompt; with 4 rows, ended ones are dropped at once.
    assert stepped == sum(lengths) - len(lengths)


def test_stop_reasons():
    def complete(prompt, text):
        return text.count("a") + text.count("b") + text.count("c") >= 1

    groups = sample(make_policy(tiny_causal().model), num_samples=12, max_new_tokens=40, is_complete=complete)
    completions = [completion for group in groups for completion in group]
    for completion in completions:
        match completion.stop_reason:
            case StopReason.EOS:
                assert completion.token_ids[-1] == END
                assert completion.char_spans[-1] == (len(completion.text), len(completion.text))
            case StopReason.PROGRAM_END:
                assert completion.text[-1] in "abc"
            case StopReason.LENGTH:
                assert len(completion.token_ids) == 40
                assert completion.truncated
        assert END not in completion.token_ids[:-1]
        assert not complete(None, completion.text[:-1])
    assert {completion.stop_reason for completion in completions} == set(StopReason)


def test_progress_counts_every_completion():
    counts = []
    policy = make_policy(tiny_causal().model)
    policy.generate(
        PROMPTS, num_samples=2, sampling=Sampling(max_new_tokens=3), seed=0, is_complete=never, progress=counts.append
    )
    assert sum(counts) == 18


def test_update_copies_the_weights_and_leaves_the_model_alone():
    model = tiny_causal().model
    policy = make_policy(model)
    before = sample(policy, temperature=0.0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1.5)
    assert sample(policy, temperature=0.0) == before
    policy.update_from(model, version=4)
    assert policy.version == 4
    after = sample(policy, temperature=0.0)
    assert after != before
    assert after[0][0].policy_version == 4
    expected = reference_logprobs(model, after[0][0])
    torch.testing.assert_close(torch.tensor(after[0][0].logprobs), expected, atol=2e-4, rtol=1e-4)


@pytest.mark.parametrize("kind", [tiny_causal, tiny_t5])
def test_update_merges_lora_adapters(kind):
    adapted = add_lora(kind().model, LoraOptions(rank=2, alpha=6))
    torch.manual_seed(5)
    for name, parameter in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.3)
    weights = {name: parameter.clone() for name, parameter in adapted.named_parameters()}
    policy = make_policy(adapted)
    completion = sample(policy, PROMPTS[:1])[0][0]
    expected = reference_logprobs(adapted, completion)
    torch.testing.assert_close(torch.tensor(completion.logprobs), expected, atol=2e-4, rtol=1e-4)
    assert all(torch.equal(parameter, weights[name]) for name, parameter in adapted.named_parameters())
    with torch.no_grad(), adapted.disable_adapter():
        assert not torch.allclose(reference_logprobs(adapted, completion), expected, atol=1e-2)


def test_the_copy_shares_tied_weights_and_keeps_rotary_frequencies_in_float32():
    model = tiny_causal().model
    copied = make_policy(model, dtype=torch.bfloat16)._model
    assert copied.lm_head.weight is copied.model.embed_tokens.weight
    assert copied.lm_head.weight.dtype == torch.bfloat16
    assert copied.model.rotary_emb.inv_freq.dtype == torch.float32
    torch.testing.assert_close(copied.model.rotary_emb.inv_freq, model.model.rotary_emb.inv_freq)


def test_half_precision_samples_near_the_full_model():
    model = tiny_causal().model
    groups = sample(make_policy(model, dtype=torch.bfloat16))
    for completion in (completion for group in groups for completion in group):
        expected = reference_logprobs(model, completion)
        torch.testing.assert_close(torch.tensor(completion.logprobs), expected, atol=0.1, rtol=0)


def test_render_chat_uses_the_template_or_says_that_there_is_none():
    policy = make_policy(tiny_causal().model)
    assert policy.render_chat([{"role": "user", "content": "hi"}]) is None
    policy.tokenizer.chat_template = "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}<assistant>"
    assert policy.render_chat([{"role": "user", "content": "hi"}]) == "<user>hi<assistant>"


def test_a_prompt_beyond_the_context_is_refused():
    policy = make_policy(gpt2())
    with pytest.raises(PolicyError, match=r"task 'long' has 90 tokens; with max_new_tokens = 12 .* 96 positions"):
        sample(policy, [Prompt(task_id="long", text="x" * 90)])


def test_an_empty_prompt_is_refused():
    with pytest.raises(PolicyError, match="task 'void' has no tokens"):
        sample(make_policy(tiny_causal().model), [Prompt(task_id="void", text="")])


def test_non_finite_logits_are_refused():
    model = tiny_causal().model
    with torch.no_grad():
        model.model.norm.weight.fill_(float("nan"))
    with pytest.raises(PolicyError, match="NaN or infinity"):
        sample(make_policy(model))


def test_a_state_space_model_is_refused():
    model = MambaForCausalLM(MambaConfig(vocab_size=258, hidden_size=16, num_hidden_layers=1, state_size=4))
    with pytest.raises(PolicyError, match="Models of type 'mamba' keep a state other than keys and values"):
        make_policy(model)
