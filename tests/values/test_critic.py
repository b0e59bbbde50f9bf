"""The critic: where V is read, what padding does, how a process reward model becomes one."""

from pathlib import Path
from typing import Any

import pytest
import torch

from linewise.policy.huggingface_logprobs import response_logprobs
from linewise.policy.tiny import tiny_causal, tiny_t5
from linewise.training.batch import Example, collate
from linewise.values.critic import (
    add_value_head,
    load_critic,
    policy_and_value_outputs,
    rescale_head,
    token_values,
)

CPU = torch.device("cpu")


def example(prompt: tuple[int, ...], response: tuple[int, ...]) -> Example:
    ones = torch.ones(len(response)).numpy()
    return Example(prompt_ids=prompt, response_ids=response, advantages=ones, weights=ones)


SHORT, LONG = example((5, 6), (7, 8, 9)), example((10, 11, 12, 13), (14, 15, 16, 17, 18))


def random_head(model: Any) -> None:
    with torch.no_grad():
        model.score.weight.normal_(generator=torch.Generator().manual_seed(0))
        model.score.bias.fill_(0.25)


def test_a_critic_made_of_a_policy_starts_at_zero() -> None:
    critic = load_critic("tiny", rescale=False)
    batch = collate([SHORT], pad_id=0, device=CPU)
    assert token_values(critic.model, batch.sequences).tolist() == [[0.0, 0.0, 0.0]]


def test_the_value_of_a_token_is_read_one_place_before_it() -> None:
    """V(s_t) does not see token t: it is what a classifier says at the token before."""
    model = load_critic("tiny", rescale=False).model
    random_head(model)
    values = token_values(model, collate([SHORT], pad_id=0, device=CPU).sequences)[0]
    logits = model(input_ids=torch.tensor([[5, 6, 7, 8, 9]])).logits[0, :, 0]
    torch.testing.assert_close(values, logits[1:4])
    other = example(SHORT.prompt_ids, (7, 8, 200))
    changed = token_values(model, collate([other], pad_id=0, device=CPU).sequences)[0]
    torch.testing.assert_close(changed, values)


def test_padding_changes_no_value() -> None:
    model = load_critic("tiny", rescale=False).model
    random_head(model)
    together = token_values(model, collate([SHORT, LONG], pad_id=0, device=CPU).sequences)
    alone = token_values(model, collate([SHORT], pad_id=0, device=CPU).sequences)
    torch.testing.assert_close(together[0, :3], alone[0], atol=1e-5, rtol=1e-4)
    assert together[0, 3:].tolist() == [0.0, 0.0]


def test_rescaling_turns_a_score_into_a_probability() -> None:
    model = load_critic("tiny", rescale=False).model
    random_head(model)
    batch = collate([SHORT, LONG], pad_id=0, device=CPU).sequences
    scores = token_values(model, batch)
    rescale_head(model)
    expected = ((scores + 1) / 2).masked_fill(~batch.response_mask, 0.0)
    torch.testing.assert_close(token_values(model, batch), expected)


def test_a_fresh_critic_with_rescaling_starts_at_one_half() -> None:
    model = load_critic("tiny", rescale=True).model
    values = token_values(model, collate([SHORT], pad_id=0, device=CPU).sequences)
    assert values.tolist() == [[0.5, 0.5, 0.5]]


@pytest.mark.parametrize("kind", ["causal", "t5"])
def test_a_shared_critic_changes_no_logprob_and_reads_the_same_states(kind: str) -> None:
    model = tiny_causal().model if kind == "causal" else tiny_t5().model
    batch = collate([SHORT, LONG], pad_id=0, device=CPU).sequences
    plain = response_logprobs(model, batch).logprobs
    add_value_head(model)
    outputs = policy_and_value_outputs(model, batch)
    torch.testing.assert_close(outputs.logprobs, plain)
    assert outputs.values is not None
    assert outputs.values.tolist() == torch.zeros(2, 5).tolist()
    with torch.no_grad():
        model.value_head.weight.normal_(generator=torch.Generator().manual_seed(0))
    values = policy_and_value_outputs(model, batch).values
    assert values is not None
    alone = policy_and_value_outputs(model, collate([SHORT], pad_id=0, device=CPU).sequences).values
    assert alone is not None
    torch.testing.assert_close(values[0, :3], alone[0], atol=1e-4, rtol=1e-3)
    changed = example(SHORT.prompt_ids, (7, 8, 200))
    other = policy_and_value_outputs(model, collate([changed], pad_id=0, device=CPU).sequences).values
    assert other is not None
    torch.testing.assert_close(other, alone, msg="V(s_t) does not see token t")


def test_the_gradient_of_a_shared_critic_reaches_the_backbone() -> None:
    model = tiny_causal().model
    add_value_head(model)
    with torch.no_grad():
        model.value_head.weight.fill_(0.1)
    values = policy_and_value_outputs(model, collate([SHORT], pad_id=0, device=CPU).sequences).values
    assert values is not None
    values.sum().backward()
    assert model.value_head.weight.grad.abs().sum() > 0
    assert model.model.layers[0].self_attn.q_proj.weight.grad.abs().sum() > 0


def test_an_encoder_decoder_has_no_critic_of_its_own(tmp_path: Path) -> None:
    from linewise.errors import PolicyError

    with pytest.raises(PolicyError, match="encoder-decoder"):
        load_critic("tiny-t5", rescale=False)
