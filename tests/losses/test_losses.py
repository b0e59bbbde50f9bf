import numpy as np
import pytest
import torch

from linewise.errors import UserError
from linewise.losses.aggregate import Aggregation, StepSize, sequence_scales
from linewise.losses.reinforce import reinforce
from linewise.losses.sft import cross_entropy


def test_reinforce_by_hand() -> None:
    logprobs = torch.tensor([[-1.0, -2.0], [-0.5, 0.0]])
    advantages = torch.tensor([[2.0, -1.0], [4.0, 0.0]])
    weights = torch.tensor([[1.0, 0.5], [1.0, 1.0]])
    torch.testing.assert_close(reinforce(logprobs, advantages, weights), torch.tensor([[2.0, -1.0], [2.0, 0.0]]))


def test_reinforce_gradient_is_minus_weight_times_advantage() -> None:
    logprobs = torch.tensor([[-1.0, -2.0]], requires_grad=True)
    reinforce(logprobs, torch.tensor([[3.0, -1.0]]), torch.tensor([[1.0, 0.0]])).sum().backward()
    torch.testing.assert_close(logprobs.grad, torch.tensor([[-3.0, 0.0]]))


def test_credit_is_a_constant() -> None:
    with pytest.raises(AssertionError, match="constant"):
        reinforce(torch.zeros(1, 1), torch.zeros(1, 1, requires_grad=True), torch.ones(1, 1))


def test_cross_entropy_is_reinforce_with_advantage_one() -> None:
    logprobs, weights = torch.tensor([[-0.25, -3.0]]), torch.tensor([[1.0, 1.0]])
    torch.testing.assert_close(cross_entropy(logprobs, weights), torch.tensor([[0.25, 3.0]]))
    torch.testing.assert_close(cross_entropy(logprobs, weights), reinforce(logprobs, torch.ones(1, 2), weights))


@pytest.mark.parametrize(
    ("aggregation", "scales", "loss"),
    [
        (Aggregation.SEQUENCE_SUM, [1 / 2, 1 / 2], 2.0),
        (Aggregation.TOKEN_MEAN, [1 / 4, 1 / 4], 1.0),
        (Aggregation.SEQUENCE_MEAN, [1 / 2, 1 / 6], 1.0),
        (Aggregation.CONSTANT, [1 / 8, 1 / 8], 0.5),
    ],
)
def test_scales_of_lengths_one_and_three(aggregation: Aggregation, scales: list[float], loss: float) -> None:
    lengths = [1, 3]
    computed = sequence_scales(aggregation, lengths, StepSize.of(lengths), max_length=4)
    np.testing.assert_allclose(computed, scales, rtol=1e-6)
    assert float(computed @ np.array(lengths)) == pytest.approx(loss)


@pytest.mark.parametrize("aggregation", Aggregation)
def test_scales_do_not_depend_on_how_a_step_is_split(aggregation: Aggregation) -> None:
    lengths = [5, 0, 2, 9]
    step = StepSize.of(lengths)
    whole = sequence_scales(aggregation, lengths, step, max_length=9)
    parts = [sequence_scales(aggregation, part, step, max_length=9) for part in (lengths[:1], lengths[1:])]
    np.testing.assert_array_equal(whole, np.concatenate(parts))
    assert whole[1] == 0


@pytest.mark.parametrize("max_length", [None, 0])
def test_the_constant_aggregation_needs_its_constant(max_length: int | None) -> None:
    with pytest.raises(UserError, match="give a positive one"):
        sequence_scales(Aggregation.CONSTANT, [1], StepSize.of([1]), max_length=max_length)
