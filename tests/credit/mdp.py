"""A small exact decision process: programs of H lines, each line "a" or "b", one token a line.

The policy is a table with one logit for each beginning of a program, so gradients are vectors over beginnings, and every
expectation is a sum over 2^H programs.
"""

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt

from linewise.types import Credit, Rollout, ScoredGroup, Scores
from tests.credit.conftest import group, rollout

Vector = npt.NDArray[np.float64]
CreditFn = Callable[[ScoredGroup], list[Credit]]


@dataclass(frozen=True)
class Moments:
    """Mean and total variance of a gradient estimate."""

    mean: Vector
    variance: float


@dataclass(frozen=True)
class Lines:
    """The process: which programs pass, and the policy's logit of "b" after each beginning."""

    horizon: int
    passing: frozenset[str]
    logits: Mapping[str, float] = field(default_factory=dict)

    @cached_property
    def states(self) -> list[str]:
        return ["".join(one) for length in range(self.horizon) for one in itertools.product("ab", repeat=length)]

    @cached_property
    def programs(self) -> list[str]:
        return ["".join(one) for one in itertools.product("ab", repeat=self.horizon)]

    def prob_b(self, state: str) -> float:
        return 1 / (1 + np.exp(-self.logits.get(state, 0.0)))

    def prob(self, program: str, after: str = "") -> float:
        """Probability of going on to this program from a beginning of it."""
        return float(
            np.prod(
                [
                    self.prob_b(program[:t]) if program[t] == "b" else 1 - self.prob_b(program[:t])
                    for t in range(len(after), len(program))
                ]
            )
        )

    def value(self, state: str) -> float:
        """The exact V: the probability of passing from here."""
        return sum(self.prob(one, state) for one in self.passing if one.startswith(state))

    def log_prob(self, program: str) -> list[float]:
        return [float(np.log(self.prob(program[: t + 1], program[:t]))) for t in range(len(program))]

    def scores_of_tokens(self, program: str) -> Vector:
        """[H, states] the gradient of each token's log-probability."""
        gradient = np.zeros((self.horizon, len(self.states)))
        for t in range(self.horizon):
            state = program[:t]
            gradient[t, self.states.index(state)] = (program[t] == "b") - self.prob_b(state)
        return gradient

    def rollout(self, program: str) -> Rollout:
        return rollout([f"{letter}\n" for letter in program], program in self.passing, header="")

    def gradient(self, program: str, credit: Credit) -> Vector:
        return (credit.weights * credit.advantages) @ self.scores_of_tokens(program)

    def moments(self, assign: CreditFn, scored: Callable[[str], Scores] = lambda _program: Scores()) -> Moments:
        """Of the estimate from one program, over all programs; scores are a function of the program."""
        estimates = []
        for program in self.programs:
            (credit,) = assign(group(self.rollout(program), scored=[scored(program)]))
            estimates.append(self.gradient(program, credit))
        return moments([self.prob(program) for program in self.programs], estimates)

    def group_gradient(self, assign: CreditFn, size: int) -> Vector:
        """Expected gradient of the mean over a group of this size, over all groups."""
        mean = np.zeros(len(self.states))
        for programs in itertools.product(self.programs, repeat=size):
            credits = assign(group(*map(self.rollout, programs)))
            prob = float(np.prod([self.prob(program) for program in programs]))
            for program, credit in zip(programs, credits, strict=True):
                mean += prob * self.gradient(program, credit) / size
        return mean

    @cached_property
    def exact_gradient(self) -> Vector:
        """Of the probability of passing: sum_s d(s) pi(b|s) pi(a|s) (V(sb) - V(sa)), without any sampling."""
        return np.array(
            [
                self.prob(state)
                * self.prob_b(state)
                * (1 - self.prob_b(state))
                * (self.value(state + "b") - self.value(state + "a"))
                for state in self.states
            ]
        )


def moments(probs: Sequence[float], estimates: Sequence[Vector]) -> Moments:
    """Of a discrete distribution over vectors."""
    weights, vectors = np.asarray(probs), np.asarray(estimates)
    mean = weights @ vectors
    return Moments(mean=mean, variance=float(weights @ ((vectors - mean) ** 2).sum(axis=1)))
