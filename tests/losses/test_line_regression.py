"""The process reward model's loss."""

import torch

from linewise.losses.line_regression import line_regression


def test_by_hand() -> None:
    losses = line_regression(torch.tensor([0.5, -2.0, 0.25]), torch.tensor([1.0, -1.0, 0.0]))
    assert losses.tolist() == [0.25, 1.0, 0.0625]


def test_the_gradient_is_twice_the_error() -> None:
    scores = torch.tensor([0.5, -2.0, 0.25], requires_grad=True)
    line_regression(scores, torch.tensor([1.0, -1.0, 0.0])).sum().backward()
    assert scores.grad is not None
    assert scores.grad.tolist() == [-1.0, -2.0, 0.5]


def test_the_best_constant_is_the_mean_label() -> None:
    labels = torch.tensor([1.0, 1.0, 1.0, -1.0])
    best = min(
        (step / 100 for step in range(-100, 101)),
        key=lambda c: float(line_regression(torch.full((4,), c), labels).sum()),
    )
    assert best == 0.5
