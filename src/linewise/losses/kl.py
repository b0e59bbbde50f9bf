"""Estimators of KL(pi || ref) from samples of pi (Schulman 2020, "Approximating KL Divergence").

With d = log pi(a) - log ref(a) at a sampled token:

    k1 = d                      unbiased, may be negative
    k2 = d^2 / 2                biased, low variance
    k3 = exp(-d) - 1 + d        unbiased, never negative

As a *reward* -beta * k the estimator is a constant, and k1 gives the gradient of KL(pi || ref). As a *loss* + beta * k it is
differentiated, which is another thing: the expected gradient of k1 is zero, that of k2 is KL(pi || ref)'s, and that of k3 is
KL(ref || pi)'s.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from linewise.types import KlEstimator


def kl(
    logprobs: Float[Tensor, "B T"], ref_logprobs: Float[Tensor, "B T"], estimator: KlEstimator
) -> Float[Tensor, "B T"]:
    """The estimate in nats at every token. No gradient flows into the reference."""
    difference = logprobs - ref_logprobs.detach()
    match estimator:
        case KlEstimator.K1:
            return difference
        case KlEstimator.K2:
            return difference.square() / 2
        case KlEstimator.K3:
            return torch.expm1(-difference) + difference
