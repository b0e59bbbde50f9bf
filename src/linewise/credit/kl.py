"""Estimates of KL(pi || ref) at sampled tokens, as a cost inside the reward (Schulman 2020, "Approximating KL Divergence").

With d = log pi(a) - log ref(a) at a sampled token:

    k1 = d                      unbiased, may be negative
    k2 = d^2 / 2                biased, low variance
    k3 = exp(-d) - 1 + d        unbiased, never negative

In a reward the estimate is a constant: with k1 the policy gradient is that of the return minus KL(pi || ref). What each
estimator does as a differentiated loss, which is another thing, stands in `losses/kl.py`.
"""

import numpy as np

from linewise.types import Floats, KlEstimator


def kl_cost(logprobs: Floats, ref_logprobs: Floats, estimator: KlEstimator) -> Floats:
    """[T] the estimate in nats at every token, from log-probabilities [T] under the policy and under the reference.

    Example: log-probabilities -1 and -1.5 give k1 = 0.5, k2 = 0.125, k3 = 0.1065.
    """
    assert logprobs.shape == ref_logprobs.shape, "one reference log-probability for each token"
    difference = logprobs.astype(np.float64) - ref_logprobs
    match estimator:
        case KlEstimator.K1:
            cost = difference
        case KlEstimator.K2:
            cost = np.square(difference) / 2
        case KlEstimator.K3:
            cost = np.expm1(-difference) + difference
    return cost.astype(np.float32)
