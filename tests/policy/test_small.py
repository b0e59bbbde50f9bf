"""Tokenisers and models that are trained from nothing."""

import pytest

small = pytest.importorskip("linewise.policy.small")

from linewise.policy.token_bytes import TokenBytes  # noqa: E402

TEXTS = [
    "def f(numbers: list[int]) -> int:\n    total = 0\n    for x in numbers:\n        total += x\n    return total"
] * 20


@pytest.fixture(scope="module")
def tokenizer():
    return small.train_tokenizer(TEXTS, 300)


def test_a_line_end_and_its_indentation_are_one_token(tokenizer):
    pieces = TokenBytes.from_tokenizer(tokenizer)
    ids = tokenizer("\n    for x in numbers:\n        total += x", add_special_tokens=False)["input_ids"]
    written = [pieces[index] for index in ids]
    assert written[0] == b"\n    "
    assert b"\n        " in written
    assert b"".join(written) == b"\n    for x in numbers:\n        total += x"


@pytest.mark.parametrize("text", ["x_1 = 'é'\n\n  # 12\ttab", "", TEXTS[0], "\r\n∑"])
def test_any_text_goes_there_and_back_with_its_places(tokenizer, text):
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    decoded = TokenBytes.from_tokenizer(tokenizer).decode_with_spans(ids)
    assert decoded.text == text
    assert [start for start, _ in decoded.char_spans[1:]] == [end for _, end in decoded.char_spans[:-1]]
    assert "".join(text[start:end] for start, end in decoded.char_spans) == text


def test_a_body_has_the_same_tokens_alone_and_after_its_prompt(tokenizer):
    """So what was trained as two parts is what is sampled."""
    prompt, body = 'def f(x):\n    """Return x."""', "\n    return x"
    whole = tokenizer(prompt + body, add_special_tokens=False)["input_ids"]
    parts = [tokenizer(part, add_special_tokens=False)["input_ids"] for part in (prompt, body)]
    assert whole == parts[0] + parts[1]


def test_special_tokens_and_size(tokenizer):
    assert (tokenizer.pad_token_id, tokenizer.eos_token_id, len(tokenizer)) == (0, 1, 300)


def test_the_model_is_a_function_of_its_seed(tokenizer):
    shape = {"hidden_size": 16, "intermediate_size": 32, "num_layers": 1, "num_heads": 2, "num_key_value_heads": 1}
    first, same, other = (small.small_causal(tokenizer, **shape, seed=seed).model for seed in (1, 1, 2))
    weights = [model.lm_head.weight for model in (first, same, other)]
    assert weights[0].equal(weights[1])
    assert not weights[0].equal(weights[2])
    assert weights[0].shape == (300, 16)
