"""Generalised advantage estimation (Schulman et al. 2016, arXiv:1506.02438, eq. 16), over the tokens of one completion.

    delta_t = r_t + gamma V_{t+1} - V_t,      A_t = sum_l (gamma lambda)^l delta_{t+l},      V_T = 0

A completion that was cut ends like any other: the judge has seen the whole program, nothing is left to bootstrap.
"""

from dataclasses import dataclass

import numpy as np

from linewise.types import Floats


@dataclass(frozen=True, kw_only=True)
class Advantages:
    """What GAE gives."""

    advantages: Floats
    """[T]"""
    returns: Floats
    """[T] advantages + values: what the critic is trained towards."""


def gae(rewards: Floats, values: Floats, *, gamma: float = 1.0, gae_lambda: float = 0.95) -> Advantages:
    """Advantages and returns of one completion from its rewards [T] and values [T].

    With values 0 and lambda 1 the advantages are the (discounted) rewards-to-go; with lambda 0 they are the one-step errors.
    Example: rewards (0, 0, 1), values (.5, .5, .5), gamma 1: lambda 1 gives (.5, .5, .5), lambda 0 gives (0, 0, .5).
    """
    assert rewards.shape == values.shape, "one value for each token"
    advantages = np.zeros(len(rewards), dtype=np.float64)
    next_value = next_advantage = 0.0
    for place in range(len(rewards) - 1, -1, -1):
        delta = float(rewards[place]) + gamma * next_value - float(values[place])
        next_advantage = advantages[place] = delta + gamma * gae_lambda * next_advantage
        next_value = float(values[place])
    return Advantages(
        advantages=advantages.astype(np.float32), returns=(advantages + values.astype(np.float64)).astype(np.float32)
    )
