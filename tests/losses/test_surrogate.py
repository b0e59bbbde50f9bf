"""Worked numbers and identities of the surrogates. Clipping is inert at ratio 1, so these tests are off-policy."""

import math

import pytest
import torch
from torch import Tensor

from linewise.losses.options import Clip, RatioLevel, SurrogateOptions
from linewise.losses.reinforce import reinforce
from linewise.losses.surrogate import clipped_tokens, importance_ratios, surrogate

OLD = torch.tensor([[-1.0, -2.0, 0.0], [-0.5, 0.0, 0.0]])
MASK = torch.tensor([[True, True, False], [True, False, False]])
ONES = torch.ones(2, 3)


def logprobs_at(ratios: list[list[float]]) -> Tensor:
    """Log-probabilities whose ratios to OLD are these."""
    return (OLD + torch.tensor(ratios).log()).requires_grad_()


def options(level: RatioLevel, clip: Clip, low: float = 0.2, high: float = 0.2) -> SurrogateOptions:
    return SurrogateOptions(ratio_level=level, clip=clip, clip_low=low, clip_high=high)


def test_ratios_by_hand() -> None:
    logprobs = logprobs_at([[2.0, 0.5, 7.0], [4.0, 7.0, 7.0]])
    token = importance_ratios(logprobs, OLD, MASK, RatioLevel.TOKEN)
    torch.testing.assert_close(token, torch.tensor([[2.0, 0.5, 1.0], [4.0, 1.0, 1.0]]))
    sequence = importance_ratios(logprobs, OLD, MASK, RatioLevel.SEQUENCE)
    torch.testing.assert_close(sequence, torch.tensor([[1.0, 1.0, 1.0], [4.0, 1.0, 1.0]]))
    mean = importance_ratios(logprobs_at([[4.0, 1.0, 1.0], [4.0, 1.0, 1.0]]), OLD, MASK, RatioLevel.SEQUENCE_MEAN)
    torch.testing.assert_close(mean, torch.tensor([[2.0, 2.0, 1.0], [4.0, 1.0, 1.0]]))


@pytest.mark.parametrize(
    ("ratio", "advantage", "loss", "gradient"),
    [
        (1.5, 1.0, -1.2, 0.0),  # the gain is cut at 1 + high
        (1.1, 1.0, -1.1, -1.1),
        (0.5, 1.0, -0.5, -0.5),  # going back up is never cut
        (0.5, -1.0, 0.8, 0.0),  # the loss of probability is cut at 1 - low
        (1.5, -1.0, 1.5, 1.5),
    ],
)
def test_pessimistic_clip_by_hand(ratio: float, advantage: float, loss: float, gradient: float) -> None:
    logprobs = logprobs_at([[ratio, 1.0, 1.0], [1.0, 1.0, 1.0]])
    advantages = torch.zeros(2, 3)
    advantages[0, 0] = advantage
    losses = surrogate(logprobs, OLD, advantages, ONES, MASK, options(RatioLevel.TOKEN, Clip.PESSIMISTIC))
    losses.sum().backward()
    assert losses[0, 0].item() == pytest.approx(loss)
    assert logprobs.grad is not None
    assert logprobs.grad[0, 0].item() == pytest.approx(gradient)


def test_clip_higher() -> None:
    logprobs = logprobs_at([[1.25, 1.0, 1.0], [1.0, 1.0, 1.0]])
    for high, gradient in ((0.2, 0.0), (0.28, -1.25)):
        logprobs.grad = None
        surrogate(
            logprobs, OLD, ONES, ONES, MASK, options(RatioLevel.TOKEN, Clip.PESSIMISTIC, 0.2, high)
        ).sum().backward()
        assert logprobs.grad is not None
        assert logprobs.grad[0, 0].item() == pytest.approx(gradient)


def test_a_clipped_token_keeps_its_gradient_under_weight_clipping_only() -> None:
    logprobs = logprobs_at([[3.0, 1.0, 1.0], [1.0, 1.0, 1.0]])
    losses = surrogate(logprobs, OLD, ONES, ONES, MASK, options(RatioLevel.TOKEN, Clip.WEIGHT, high=1.0))
    losses.sum().backward()
    assert logprobs.grad is not None
    assert logprobs.grad[0, 0].item() == pytest.approx(-2.0)  # min(3, 1 + 1) * A
    assert losses[0, 0].item() == pytest.approx(-2.0 * (-1.0 + math.log(3.0)))


@pytest.mark.parametrize("clip", Clip)
def test_at_ratio_one_the_gradient_is_reinforces(clip: Clip) -> None:
    advantages = torch.tensor([[2.0, -1.0, 5.0], [0.5, 5.0, 5.0]])
    weights = torch.tensor([[1.0, 0.5, 0.0], [1.0, 0.0, 0.0]])
    ours, theirs = OLD.clone().requires_grad_(), OLD.clone().requires_grad_()
    surrogate(ours, OLD, advantages, weights, MASK, options(RatioLevel.TOKEN, clip)).sum().backward()
    reinforce(theirs, advantages, weights).sum().backward()
    torch.testing.assert_close(ours.grad, theirs.grad)


@pytest.mark.parametrize(("level", "factor"), [(RatioLevel.SEQUENCE, 2.0), (RatioLevel.SEQUENCE_MEAN, 1.0)])
def test_sequence_levels_at_ratio_one(level: RatioLevel, factor: float) -> None:
    """With a constant advantage the mean over T tokens has the gradient A (or A / T) at each: the sequence's own."""
    logprobs = OLD.clone().requires_grad_()
    losses = surrogate(logprobs, OLD, 3 * ONES, ONES * MASK, MASK, options(level, Clip.PESSIMISTIC))
    (losses[0].sum() / 2).backward()
    assert logprobs.grad is not None
    torch.testing.assert_close(logprobs.grad[0], torch.tensor([-3.0, -3.0, 0.0]) * factor / 2)


def test_weights_never_enter_a_sequence_ratio() -> None:
    """A token that bears no loss was still sampled."""
    logprobs = logprobs_at([[2.0, 3.0, 1.0], [1.0, 1.0, 1.0]])
    weights = torch.tensor([[1.0, 0.0, 0.0], [1.0, 0.0, 0.0]])
    losses = surrogate(logprobs, OLD, ONES, weights, MASK, options(RatioLevel.SEQUENCE, Clip.NONE))
    assert losses[0].tolist() == pytest.approx([-6.0, 0.0, 0.0])


def test_clipped_tokens_by_hand() -> None:
    ratios = torch.tensor([[1.5, 0.5, 1.5], [0.5, 1.0, 9.0]])
    advantages = torch.tensor([[1.0, 1.0, -1.0], [-1.0, 1.0, 1.0]])
    weights = torch.tensor([[1.0, 1.0, 1.0], [1.0, 1.0, 0.0]])

    def clipped(clip: Clip) -> list[list[bool]]:
        found: list[list[bool]] = clipped_tokens(ratios, advantages, weights, SurrogateOptions(clip=clip)).tolist()
        return found

    assert clipped(Clip.PESSIMISTIC) == [[True, False, False], [True, False, False]]
    assert clipped(Clip.WEIGHT) == [[True, False, True], [False, False, False]]
    assert not any(map(any, clipped(Clip.NONE)))
