"""The CPU's attention equals torch's own, in value and in gradient, with grouped heads, masks and strided keys."""

import pytest

torch = pytest.importorskip("torch")

from linewise.policy import huggingface_attention  # noqa: E402
from linewise.policy.huggingface_attention import cpu_attention, use_cpu_attention  # noqa: E402
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


def padded_mask():
    """Causal, with two columns of padding on the left of row 1; its first two queries see nothing."""
    mask = torch.ones(LENGTH, LENGTH, dtype=torch.bool).tril().expand(BATCH, 1, LENGTH, LENGTH).clone()
    mask[1, :, :, :2] = False
    return mask


@pytest.mark.parametrize("mask", [None, padded_mask()], ids=["causal", "padded"])
def test_many_queries_in_value_and_gradient(mask):
    used = torch.ones(BATCH, LENGTH, HEADS, SIZE)
    used[1, :2] = 0 if mask is not None else 1
    results = []
    for function in (cpu_attention, expected):
        query, key, value = states(requires_grad=True)
        if function is expected:
            visible = mask if mask is not None else torch.ones(LENGTH, LENGTH, dtype=torch.bool).tril()
            output = expected(query, key, value, visible).nan_to_num()
        else:
            output, _ = cpu_attention(Attention(), query, key, value, mask)
        assert output.isfinite().all()
        loss = (output * used * torch.arange(1, SIZE + 1)).sum()
        results.append([output * used, *torch.autograd.grad(loss, (query, key, value))])
    for actual, reference in zip(*results, strict=True):
        torch.testing.assert_close(actual, reference, atol=1e-5, rtol=1e-5)


def test_one_query_over_keys_inside_a_larger_buffer():
    query, key, value = states(queries=1)
    buffers = [torch.full((BATCH, KEY_HEADS, 20, SIZE), 9.0) for _ in range(2)]
    for buffer, state in zip(buffers, (key, value), strict=True):
        buffer[:, :, 5 : 5 + LENGTH] = state
    mask = torch.ones(BATCH, 1, 1, LENGTH, dtype=torch.bool)
    mask[2, :, :, :4] = False
    views = [buffer[:, :, 5 : 5 + LENGTH] for buffer in buffers]
    output, _ = cpu_attention(Attention(), query, *views, mask)
    torch.testing.assert_close(output, expected(query, key, value, mask), atol=1e-5, rtol=1e-5)


def test_long_sequences_go_to_sdpa(monkeypatch):
    monkeypatch.setattr(huggingface_attention, "LONGEST", LENGTH - 1)
    monkeypatch.setattr(huggingface_attention.GroupedAttention, "apply", None)
    query, key, value = states()
    output, _ = cpu_attention(Attention(), query, key, value, padded_mask())
    torch.testing.assert_close(output[0], expected(query, key, value, padded_mask())[0], atol=1e-5, rtol=1e-5)


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
    for change in (lambda model: None, use_cpu_attention):
        model = kind().model
        change(model)
        response_logprobs(model, batch()).logprobs.sum().backward()
        results.append([parameter.grad for parameter in model.parameters()])
    assert model.config._attn_implementation == huggingface_attention.NAME
    for plain, changed in zip(*results, strict=True):
        torch.testing.assert_close(plain, changed, atol=1e-4, rtol=1e-3)
    # A saved model must load without this package.
    model.save_pretrained(tmp_path)
    assert huggingface_attention.NAME not in (tmp_path / "config.json").read_text()


def test_under_autocast_attention_runs_in_half_precision():
    query, key, value = states(requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        output, _ = cpu_attention(Attention(), query, key, value, None)
    assert output.dtype == torch.bfloat16
    visible = torch.ones(LENGTH, LENGTH, dtype=torch.bool).tril()
    torch.testing.assert_close(output.float(), expected(query, key, value, visible), atol=0.05, rtol=0.05)
    output.float().sum().backward()
    assert query.grad.dtype == torch.float32
