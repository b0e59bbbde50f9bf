"""RoML: tasks are sampled so that the policy learns for the worst ones (arXiv:2301.11147, algorithm 1).

The goal is CVaR_alpha, the mean return of the alpha share of tasks with the lowest returns. The cross-entropy method
finds them: with p_0 the original distribution over kinds of tasks and p_phi the one that is sampled from,

    w_i = p_0(c_i) / p_phi(c_i)                                   for tasks drawn from p_phi; 1 for those from p_0
    q   = max(weighted alpha-quantile of R, beta-quantile of R)
    phi_new(c) = sum_i w_i 1[R_i <= q] 1[c_i = c] / sum_i w_i 1[R_i <= q]
    phi <- (phi + phi_new) / 2

A share of every round is drawn from p_0. The weights are for q and phi alone; the learner has none. Evaluation is on p_0.

Deviations. 1: the distribution is categorical, over tasks or over a key of their metadata, so the refit has the closed form
above. 2: R <= q instead of R < q: returns are shares of passing programs, and where many tasks tie at 0 none would be below q.
3: phi(c) stays above p_0(c) / 1000, so that the weights stay finite for a kind that is never refitted on.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from linewise.errors import UserError
from linewise.types import Task

FLOOR = 1e-3
"""Least phi(c), as a share of p_0(c)."""


@dataclass(frozen=True, kw_only=True)
class RoMLOptions:
    """Sampling of tasks for the worst of them; off by default."""

    alpha: float | None = None
    """Share of tasks, in (0, 1), whose mean return is to grow; the paper's is .05. None visits all tasks in turn."""
    beta: float = 0.2
    """At least this share of a round's tasks is refitted on."""
    original_share: float = 0.2
    """Share of each round that is drawn from the original distribution."""
    key: str | None = None
    """Key of the tasks' metadata whose values are weighted, such as `family`; None weights each task."""

    def __post_init__(self) -> None:
        """Refuses shares that are none."""
        shares = {"alpha": 0.5 if self.alpha is None else self.alpha, "beta": self.beta}
        for name, value in shares.items():
            if not 0 < value < 1:
                raise ValueError(
                    f"roml.{name}={value} must lie between 0 and 1, both left out: it is a share of tasks."
                )
        if not 0 <= self.original_share <= 1:
            raise ValueError(f"roml.original_share={self.original_share} must lie in [0, 1]: it is a share of tasks.")


@dataclass(frozen=True, kw_only=True)
class Pick:
    """A task that was drawn."""

    task: Task
    weight: float
    """w."""


@dataclass(frozen=True, kw_only=True)
class TaskSampler:
    """Draws tasks and refits the distribution; phi is kept by the caller, and empty at the start."""

    tasks: Sequence[Task]
    options: RoMLOptions

    def __post_init__(self) -> None:
        """Refuses tasks that have no value of the key. Raises UserError."""
        missing = [task.id for task in self.tasks if self.options.key and self.options.key not in task.metadata]
        if missing:
            raise UserError(
                f"roml.key={self.options.key}, but {len(missing)} of {len(self.tasks)} tasks have no such metadata, the first "
                f"being {missing[0]}: name a key that all tasks have, or drop it to weight each task."
            )

    def kind(self, task: Task) -> str:
        """The kind c of a task."""
        return task.id if self.options.key is None else task.metadata[self.options.key]

    def original(self) -> dict[str, float]:
        """p_0: every task alike."""
        counts = Counter(map(self.kind, self.tasks))
        return {kind: count / len(self.tasks) for kind, count in counts.items()}

    def draw(self, phi: Mapping[str, float], count: int, rng: np.random.Generator) -> list[Pick]:
        """`count` tasks with replacement, the first ceil(share * count) from p_0; within a kind, uniformly."""
        original = self.original()
        sampled = phi or original
        kinds = [self.kind(task) for task in self.tasks]
        weights = np.array([original[kind] / sampled[kind] for kind in kinds])
        probs = 1 / weights / len(self.tasks)
        first = min(count, int(np.ceil(self.options.original_share * count)))
        plain = [
            Pick(task=self.tasks[place], weight=1.0) for place in rng.integers(len(self.tasks), size=first).tolist()
        ]
        places = rng.choice(len(self.tasks), size=count - first, p=probs / probs.sum()).tolist()
        return plain + [Pick(task=self.tasks[place], weight=float(weights[place])) for place in places]

    def refit(
        self, phi: Mapping[str, float], kinds: Sequence[str], weights: Sequence[float], returns: Sequence[float]
    ) -> dict[str, float]:
        """The next phi, from the kind, weight w and return R of each task that was visited in a step."""
        old = dict(phi or self.original())
        if not kinds:
            return old
        w, values = np.asarray(weights), np.asarray(returns)
        chosen = w * (values <= self.threshold(w, values))
        new = {kind: float(sum(chosen[place] for place, one in enumerate(kinds) if one == kind)) for kind in old}
        total = sum(new.values())
        moved = {kind: (prob + new[kind] / total) / 2 for kind, prob in old.items()}
        kept = {kind: max(moved[kind], prob * FLOOR) for kind, prob in self.original().items()}
        return {kind: prob / sum(kept.values()) for kind, prob in kept.items()}

    def threshold(self, weights: npt.NDArray[np.float64], returns: npt.NDArray[np.float64]) -> float:
        """The return q up to which tasks are refitted on."""
        assert self.options.alpha is not None
        return max(
            weighted_quantile(returns, weights, self.options.alpha),
            weighted_quantile(returns, np.ones(len(returns)), self.options.beta),
        )


def weighted_quantile(values: npt.NDArray[np.float64], weights: npt.NDArray[np.float64], share: float) -> float:
    """The smallest value below or at which lies at least this share of the weight.

    Example: values (1, 2, 3) with weights (1, 1, 2) have the quantile 2 at .5 and 3 at .6.
    """
    order = np.argsort(values, kind="stable")
    below = np.cumsum(weights[order])
    place = int(np.searchsorted(below, share * below[-1] * (1 - 1e-12)))
    return float(values[order][place])
