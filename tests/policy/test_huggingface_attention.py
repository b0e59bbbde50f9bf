"""The CPU's attention equals torch's own, in value and in gradient, with grouped heads, masks and strided keys."""

import pytest

torch = pytest.importorskip("torch")

from linewise.policy import huggingface_attention  # noqa: E402
from linewise.policy.huggingface_attention import (  # noqa: E402
    sampling_attention,
    use_sampling_attention,
    use_training_attention,
)
from linewise.policy.huggingface_logprobs import SequenceBatch, response_logprobs  # noqa: E402
from linewise.policy.tiny import tiny_causal, tiny_t5  # noqa: E402

BATCH, HEADS, KEY_HEADS, LENGTH, SIZE = 3, 6, 2, 7, 8


class Attention(torch.nn.Module):
    is_causal = True
    num_key_value_groups = HEADS // KEY_HEADS


def states(queries=LENGTH, *, requires_grad=False):
    generator = torch.Generator().manual_seed(0)
    shapes = [(BATCH, HEADS, queries, SIZE), (BATCH, KEY_HEADS, LENGTH, SIZE), (BATCH, KEY_HEADS, LENGTH, SIZE)]
    return [torch.randn(shape, generator=generator).requires_grad_(requires_grad) for shape in shapes]


def expected(query, key, value, mask):
    repeats = HEADS // KEY_HEADS
    key, value = key.repeat_interleave(repeats, dim=1), value.repeat_interleave(repeats, dim=1)
    output = torch.nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)
    return output.transpose(1, 2)


def test_one_query_over_keys_inside_a_larger_buffer():
    query, key, value = states(queries=1)
    buffers = [torch.full((BATCH, KEY_HEADS, 20, SIZE), 9.0) for _ in range(2)]
    for buffer, state in zip(buffers, (key, value), strict=True):
        buffer[:, :, 5 : 5 + LENGTH] = state
    mask = torch.ones(BATCH, 1, 1, LENGTH, dtype=torch.bool)
    mask[2, :, :, :4] = False
    views = [buffer[:, :, 5 : 5 + LENGTH] for buffer in buffers]
    output, _ = sampling_attention(Attention(), query, *views, mask)
    torch.testing.assert_close(output, expected(query, key, value, mask), atol=1e-5, rtol=1e-5)


def test_many_queries_go_to_sdpa():
    query, key, value = states()
    mask = torch.ones(LENGTH, LENGTH, dtype=torch.bool).tril().expand(BATCH, 1, LENGTH, LENGTH)
    output, _ = sampling_attention(Attention(), query, key, value, mask)
    torch.testing.assert_close(output, expected(query, key, value, mask), atol=1e-5, rtol=1e-5)


def batch():
    return SequenceBatch(
        prompt_ids=torch.tensor([[70, 71, 72], [0, 0, 80]]),
        prompt_mask=torch.tensor([[1, 1, 1], [0, 0, 1]]).bool(),
        response_ids=torch.tensor([[5, 6, 0], [7, 8, 9]]),
        response_mask=torch.tensor([[1, 1, 0], [1, 1, 1]]).bool(),
    )


@pytest.mark.parametrize("kind", [tiny_causal, tiny_t5])
def test_a_model_gives_the_same_logprobs_and_gradients_with_it(kind, tmp_path):
    results = []
    for change in (lambda model: None, use_training_attention, use_sampling_attention):
        model = kind().model
        change(model)
        response_logprobs(model, batch()).logprobs.sum().backward()
        results.append([parameter.grad for parameter in model.parameters()])
    assert model.config._attn_implementation == huggingface_attention.NAME
    for plain, *changed in zip(*results, strict=True):
        for gradient in changed:
            torch.testing.assert_close(plain, gradient, atol=1e-4, rtol=1e-3)
    # A saved model must load without this package.
    model.save_pretrained(tmp_path)
    assert huggingface_attention.NAME not in (tmp_path / "config.json").read_text()
