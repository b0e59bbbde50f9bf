"""What the methods without a critic share: each program's return is compared with those of its group.

    A_i = scale * (R_i - b_i),      R_i = sum_t r_it

for every token of program i. The methods differ in the baseline b_i and in the scale. Both the return and the baseline
are sums of named parts (outcome, KL, ...), so each term of the credit is one part's share of the advantage.
"""

from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from linewise.credit.reward import OutcomeReward, Parts, outcome_reward, total
from linewise.credit.rltf import sum_terms
from linewise.types import Credit, Floats, Group

Returns = npt.NDArray[np.float64]
"""[G] one number for each program of the group."""


class GroupBaseline(StrEnum):
    """What the return of a program is compared with."""

    NONE = "none"
    """0."""
    MEAN = "mean"
    """The mean return of the group, the program's own included."""
    OTHERS = "others"
    """The mean return of the group's other programs: independent of the program's own return, so no bias."""


def baselines(returns: Returns, baseline: GroupBaseline) -> Returns:
    """[G] b_i of each program. A program alone in its group has no others: it is compared with 0.

    Example: returns (1, 0, 0): the mean is 1/3 for all; the others' means are (0, 1/2, 1/2).
    """
    num_others = len(returns) - 1
    if baseline is GroupBaseline.NONE or (baseline is GroupBaseline.OTHERS and num_others == 0):
        return np.zeros_like(returns)
    if np.ptp(returns) == 0:
        return returns.copy()  # a mean of equal numbers may differ from them in its last digit
    if baseline is GroupBaseline.OTHERS:
        return np.asarray((returns.sum() - returns) / num_others)
    return np.full_like(returns, returns.mean())


def group_credit(
    rewards: Sequence[Parts], baseline: GroupBaseline, *, scale: Callable[[Returns], float] = lambda _returns: 1.0
) -> list[Credit]:
    """Credit of a group from the parts of each program's rewards: every token gets its program's advantage.

    `scale` gives the common factor from the returns R_i.
    """
    names = list(rewards[0])
    returns = {name: np.array([parts[name].sum(dtype=np.float64) for parts in rewards]) for name in names}
    factor = scale(np.sum([*returns.values()], axis=0))
    advantages = {name: factor * (returns[name] - baselines(returns[name], baseline)) for name in names}
    return [
        uniform_credit(parts, {name: float(advantages[name][index]) for name in names})
        for index, parts in enumerate(rewards)
    ]


def uniform_credit(parts: Parts, advantages: Mapping[str, float]) -> Credit:
    """Credit that gives every token the same advantage, the sum of the named numbers."""
    rewards = total(parts)
    whole = np.ones_like(rewards)
    terms: dict[str, Floats] = {name: advantage * whole for name, advantage in advantages.items()}
    return Credit(rewards=rewards, advantages=sum_terms(terms, len(whole)), weights=whole, terms=terms)


def is_constant(group: Group, reward: OutcomeReward = OutcomeReward.PASSED) -> bool:
    """Whether all programs of the group earn the same outcome, so that a comparison within the group says nothing.

    DAPO's dynamic sampling (arXiv:2503.14476, eq. 11) replaces such groups by others: ask this of every group drawn.
    """
    return len({outcome_reward(rollout.report, reward) for rollout in group.rollouts}) <= 1
