"""The process reward model's loss: squared error at the last token of each line."""

from jaxtyping import Float
from torch import Tensor


def line_regression(scores: Float[Tensor, " K"], labels: Float[Tensor, " K"]) -> Float[Tensor, " K"]:
    """Per-line loss  (R_phi(x, y^(1..m)) - l_m)^2  (arXiv:2410.17621, section 3.3), for the K lines of a batch.

    Labels are -1, 0 (neutral) or +1. Scores are not clipped here: a score beyond the label costs as much as one short
    of it, which is what makes the minimiser the conditional mean E[l_m | x, y^(1..m)].
    """
    assert not labels.requires_grad, "labels are a constant of the loss"
    return (scores - labels).square()
