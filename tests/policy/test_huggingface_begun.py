"""Going on from the beginning of an answer: on its tokens, with the model's own probabilities, for both kinds of model."""

import pytest

torch = pytest.importorskip("torch")

from linewise.policy.huggingface import HuggingFacePolicy  # noqa: E402
from linewise.policy.huggingface_logprobs import SequenceBatch, response_logprobs  # noqa: E402
from linewise.policy.tiny import tiny_causal, tiny_t5  # noqa: E402
from linewise.types import Beginning, Prompt, Sampling  # noqa: E402

MODELS = {"causal": tiny_causal, "encoder-decoder": tiny_t5}


def sample(policy, prompts, *, num_samples=2, max_new_tokens=8, seed=3, **sampling):
    return policy.generate(
        prompts,
        num_samples=num_samples,
        sampling=Sampling(max_new_tokens=max_new_tokens, **sampling),
        seed=seed,
        is_complete=lambda prompt, text: False,
    )


def policy_of(name, **options):
    loaded = MODELS[name]()
    return loaded.model, HuggingFacePolicy(loaded.model, loaded.tokenizer, **options)


def logprobs(model, prompt_ids, response_ids):
    batch = SequenceBatch(
        prompt_ids=torch.tensor([prompt_ids]),
        prompt_mask=torch.ones(1, len(prompt_ids), dtype=torch.bool),
        response_ids=torch.tensor([response_ids]),
        response_mask=torch.ones(1, len(response_ids), dtype=torch.bool),
    )
    with torch.no_grad():
        return response_logprobs(model, batch).logprobs[0]


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("max_batch_rows", [2, 64])
def test_a_continuation_has_the_probabilities_of_the_whole_answer(name, max_batch_rows):
    model, policy = policy_of(name, max_batch_rows=max_batch_rows)
    plain = Prompt(task_id="t", text="def f(x):")
    prompts = [plain]
    for length in (1, 5, 30):
        token_ids = tuple(range(40, 40 + length))
        begun = Beginning(text="".join(chr(token - 2) for token in token_ids), token_ids=token_ids, ends_line=False)
        prompts.append(Prompt(task_id="t", text="def f(x):", begun=begun))
    prompt_ids = [ord(char) + 2 for char in plain.text]
    for prompt, completions in zip(prompts, sample(policy, prompts), strict=True):
        given = prompt.begun.token_ids if prompt.begun else ()
        for completion in completions:
            expected = logprobs(model, prompt_ids, [*given, *completion.token_ids])[len(given) :]
            torch.testing.assert_close(torch.tensor(completion.logprobs), expected, rtol=1e-4, atol=1e-4)
            assert completion.prompt_ids == (*prompt_ids, *(given if name == "causal" else ()))
            assert 1 <= len(completion.token_ids) <= 8


@pytest.mark.parametrize("name", MODELS)
def test_a_text_without_tokens_is_tokenised(name):
    _, policy = policy_of(name)
    text = "\n    return"
    by_text = Prompt(task_id="t", text="def f():", begun=Beginning(text=text, token_ids=None, ends_line=False))
    token_ids = tuple(ord(char) + 2 for char in text)
    by_ids = Prompt(task_id="t", text="def f():", begun=Beginning(text=text, token_ids=token_ids, ends_line=False))
    assert sample(policy, [by_text]) == sample(policy, [by_ids])


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_after_a_whole_line_comes_a_line_end_or_nothing(name, temperature):
    _, policy = policy_of(name)
    begun = Beginning(text=" return x", token_ids=None, ends_line=True)
    prompts = [Prompt(task_id="t", text="def f(x):", begun=begun), Prompt(task_id="t", text="def f(x):")]
    ended, free = sample(policy, prompts, num_samples=40, max_new_tokens=2, temperature=temperature)
    assert all(one.text == "" or one.text[0] in "\r\n" for one in ended)
    if temperature:
        assert not all(one.text == "" or one.text[0] in "\r\n" for one in free)


def test_the_first_token_has_the_probability_given_that_the_line_ends():
    model, policy = policy_of("causal")
    begun = Beginning(text="x", token_ids=(ord("x") + 2,), ends_line=True)
    prompt = Prompt(task_id="t", text="f", begun=begun)
    allowed = [ord("\n") + 2, ord("\r") + 2, 1]
    with torch.no_grad():
        logits = model(torch.tensor([[ord("f") + 2, ord("x") + 2]])).logits[0, -1]
    expected = logits[allowed].log_softmax(0)
    for one in sample(policy, [prompt], num_samples=20, max_new_tokens=1)[0]:
        assert one.logprobs[0] == pytest.approx(float(expected[allowed.index(one.token_ids[0])]), abs=1e-4)


def test_random_numbers_follow_the_stream_and_not_the_place():
    _, policy = policy_of("causal")
    named = [Prompt(task_id="t", text="def f():", stream=stream) for stream in (2**63 + 5, 7)]
    first, second = sample(policy, named)
    assert sample(policy, named[::-1]) == [second, first]
    assert [one.token_ids for one in first] != [one.token_ids for one in second]
    unnamed = [Prompt(task_id="t", text="def f():"), Prompt(task_id="t", text="def f():")]
    second = sample(policy, unnamed)[1]
    named = sample(policy, [Prompt(task_id="t", text="def f():", stream=1)])[0]
    assert [one.token_ids for one in second] == [one.token_ids for one in named]
