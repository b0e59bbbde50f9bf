"""Generalised advantage estimation (Schulman et al. 2016, arXiv:1506.02438, eq. 16), over the tokens of one completion.

    delta_t = r_t + gamma V_{t+1} - V_t,      A_t = sum_l (gamma lambda)^l delta_{t+l},      V_T = 0

A completion that was cut ends like any other: the judge has seen the whole program, nothing is left to bootstrap.

Tokens that the policy did not write (`written` is False: feedback between two turns, say) are no steps of the
trajectory. They are taken out before the sum and put back with advantage and return 0, so that the token before such a
span is followed by the one after it: rewards flow over the span, undiscounted, and what stands inside counts nowhere.
"""

from dataclasses import dataclass

import numpy as np

from linewise.rollout.lines import Mask
from linewise.types import Floats


@dataclass(frozen=True, kw_only=True)
class Advantages:
    """What GAE gives."""

    advantages: Floats
    """[T]"""
    returns: Floats
    """[T] advantages + values: what the critic is trained towards."""


def gae(
    rewards: Floats, values: Floats, *, gamma: float = 1.0, gae_lambda: float = 0.95, written: Mask | None = None
) -> Advantages:
    """Advantages and returns of one completion from its rewards [T] and values [T].

    `written` [T] is True for the tokens of the policy; None means all, which holds for every sampled completion.
    With values 0 and lambda 1 the advantages are the (discounted) rewards-to-go; with lambda 0 they are the one-step errors.
    Example: rewards (0, 0, 1), values (.5, .5, .5), gamma 1: lambda 1 gives (.5, .5, .5), lambda 0 gives (0, 0, .5).
    """
    assert rewards.shape == values.shape, "one value for each token"
    advantages = np.zeros(len(rewards), dtype=np.float64)
    # Plain floats: arrays of one completion are too short for their overhead.
    reward_list, value_list = rewards.tolist(), values.tolist()
    next_value = next_advantage = 0.0
    for place in reversed(range(len(rewards)) if written is None else np.flatnonzero(written).tolist()):
        delta = reward_list[place] + gamma * next_value - value_list[place]
        next_advantage = advantages[place] = delta + gamma * gae_lambda * next_advantage
        next_value = value_list[place]
    returns = advantages + values
    if written is not None:
        returns = np.where(written, returns, 0)
    return Advantages(advantages=advantages.astype(np.float32), returns=returns.astype(np.float32))


def rewards_to_go(rewards: Floats, *, gamma: float = 1.0, written: Mask | None = None) -> Floats:
    """[T] the (discounted) sum of the rewards from each token on: `gae` with values 0 and lambda 1.

    Example: rewards (-1, 0, 1) give (0, 1, 1).
    """
    return gae(rewards, np.zeros_like(rewards), gamma=gamma, gae_lambda=1.0, written=written).advantages
