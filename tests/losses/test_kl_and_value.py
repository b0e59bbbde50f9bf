"""KL estimators against an exact divergence; the critic's loss by hand."""

import pytest
import torch

from linewise.losses.kl import kl
from linewise.losses.value import value_loss
from linewise.types import KlEstimator

LOGITS = torch.tensor([0.3, -1.0, 0.8])
REF = torch.tensor([-0.2, 0.4, 0.1]).log_softmax(0)


def test_estimates_by_hand() -> None:
    logprobs, ref = torch.tensor([[-1.0, -2.0]]), torch.tensor([[-1.5, -2.0]])
    assert kl(logprobs, ref, KlEstimator.K1).tolist() == [[0.5, 0.0]]
    assert kl(logprobs, ref, KlEstimator.K2).tolist() == [[0.125, 0.0]]
    assert kl(logprobs, ref, KlEstimator.K3)[0].tolist() == pytest.approx([0.10653066, 0.0])


@pytest.mark.parametrize("estimator", [KlEstimator.K1, KlEstimator.K3])
def test_k1_and_k3_are_unbiased(estimator: KlEstimator) -> None:
    pi = LOGITS.log_softmax(0)
    exact = (pi.exp() * (pi - REF)).sum()
    expected = (pi.exp() * kl(pi[None], REF[None], estimator)[0]).sum()
    torch.testing.assert_close(expected, exact)


def gradient_of_loss(estimator: KlEstimator) -> torch.Tensor:
    """Expected gradient of the estimator as a loss, over samples of pi."""
    logits = LOGITS.clone().requires_grad_()
    pi = logits.log_softmax(0)
    (pi.exp().detach() * kl(pi[None], REF[None], estimator)[0]).sum().backward()
    assert logits.grad is not None
    return logits.grad


def gradient_of_divergence(forward: bool) -> torch.Tensor:
    logits = LOGITS.clone().requires_grad_()
    pi = logits.log_softmax(0)
    divergence = (pi.exp() * (pi - REF)).sum() if forward else (REF.exp() * (REF - pi)).sum()
    divergence.backward()
    assert logits.grad is not None
    return logits.grad


def test_what_each_estimator_minimises_as_a_loss() -> None:
    torch.testing.assert_close(gradient_of_loss(KlEstimator.K1), torch.zeros(3), atol=1e-6, rtol=0)
    torch.testing.assert_close(gradient_of_loss(KlEstimator.K2), gradient_of_divergence(forward=True))
    torch.testing.assert_close(gradient_of_loss(KlEstimator.K3), gradient_of_divergence(forward=False))


def test_no_gradient_reaches_the_reference() -> None:
    ref = torch.tensor([[-1.0]], requires_grad=True)
    assert kl(torch.tensor([[-2.0]], requires_grad=True), ref, KlEstimator.K3).requires_grad
    kl(torch.tensor([[-2.0]], requires_grad=True), ref, KlEstimator.K3).sum().backward()
    assert ref.grad is None


@pytest.mark.parametrize(
    ("value", "clip", "loss"),
    [
        (0.9, None, 0.005),  # (0.9 - 1)^2 / 2
        (0.9, 0.2, 0.125),  # the clipped value is 0.5, so (0.5 - 1)^2 / 2 is the larger one
        (0.4, 0.2, 0.18),  # within the clip: (0.4 - 1)^2 / 2
        (-0.5, 0.2, 1.125),  # moved away: the unclipped error is the larger one
    ],
)
def test_value_loss_by_hand(value: float, clip: float | None, loss: float) -> None:
    one = torch.ones(1, 1)
    computed = value_loss(value * one, 0.3 * one, one, torch.tensor([[1.0]]), clip=clip)
    assert computed.item() == pytest.approx(loss)
    assert value_loss(value * one, 0.3 * one, one, 0 * one, clip=clip).item() == 0.0
