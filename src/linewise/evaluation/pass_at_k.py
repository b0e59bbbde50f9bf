"""Unbiased pass@k (Chen et al. 2021, arXiv:2107.03374, eq. 1)."""

import numpy as np


def pass_at_k(num_samples: int, num_passed: int, k: int) -> float:
    """Probability that at least one of k programs, drawn without replacement from n of which c pass, passes.

        pass@k = 1 - C(n - c, k) / C(n, k) = 1 - prod_{i = n-c+1 .. n} (1 - k / i)

    The product is the numerically stable form. Its mean over repeated evaluations is the policy's own pass@k, while
    1 - (1 - c/n)^k is too low. Example: n = 4, c = 1, k = 2 gives 1/2.

    Raises ValueError where k is not in 1..n or c not in 0..n.
    """
    if not 1 <= k <= num_samples:
        raise ValueError(
            f"pass@{k} needs at least {k} samples of each task and there are {num_samples}: "
            f"raise --num-samples to {k} or more, or lower --k."
        )
    if not 0 <= num_passed <= num_samples:
        raise ValueError(f"{num_passed} of {num_samples} samples cannot have passed")
    if num_samples - num_passed < k:
        return 1.0
    factors = 1.0 - k / np.arange(num_samples - num_passed + 1, num_samples + 1)
    return 1.0 - float(np.prod(factors))
