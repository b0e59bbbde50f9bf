"""Jump-start RL: a guide acts for the first h steps, the policy after it (arXiv:2204.02372, algorithm 1).

Here the guide is the reference solution and a step is a line. With H the guides' mean length in lines and n stages,

    h_k = round(H (n - k) / n),    k = 0, 1, .. n    (h_n = 0: the original task)

and k <- k + 1 where the moving average of success over `window` steps is at least (best - tolerance), best being the best
moving average so far. The random variant draws h uniformly at each visit, with no stages.

Deviations. 1: at least one line is left to the policy, so the guide never writes a whole program. 2: the first full window only
sets the best, for there is nothing to compare it with. 3: success is that of the programs that are trained on, with the guide's
lines; the paper evaluates apart. 4: programs of tasks without a usable reference do not count.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from linewise.rollout.guide import Guide, Stage, Stages

ALL_TASKS = "all tasks"
"""The one stage."""


@dataclass(frozen=True, kw_only=True)
class JSRL:
    """The curriculum with one stage for all tasks."""

    guides: Mapping[str, Guide]
    """Task id -> its reference."""
    num_stages: int = 10
    """n."""
    window: int = 3
    """Steps of the moving average; the paper's are 3 to 5."""
    tolerance: float = 0.05
    """How far success may lie below its best, in [0, 1]."""

    def guide_lines(self, index: int) -> int:
        """h_k of a stage."""
        mean = float(np.mean([guide.num_lines for guide in self.guides.values()]))
        return round(mean * (self.num_stages - index) / self.num_stages)

    def num_lines(self, task_id: str, stages: Stages, rng: np.random.Generator) -> int:
        """h, or all lines but the last of a shorter guide; 0 for a task without one."""
        if task_id not in self.guides:
            return 0
        return min(self.guide_lines(stages.get(ALL_TASKS, Stage()).index), self.guides[task_id].most_lines)

    def after(self, stages: Stages, successes: Mapping[str, Sequence[float]]) -> dict[str, Stage]:
        """The stage after one step; its success is the mean over the visits of the tasks that have a guide."""
        stage = stages.get(ALL_TASKS, Stage())
        rates = [rate for task_id, visits in successes.items() if task_id in self.guides for rate in visits]
        if not rates or stage.index == self.num_stages:
            return dict(stages)
        recent = (*stage.recent, float(np.mean(rates)))[-self.window :]
        if len(recent) < self.window:
            return {ALL_TASKS: Stage(index=stage.index, recent=recent, best=stage.best)}
        average = float(np.mean(recent))
        if stage.best is None:
            return {ALL_TASKS: Stage(index=stage.index, recent=recent, best=average)}
        best = max(stage.best, average)
        if average >= stage.best - self.tolerance:
            return {ALL_TASKS: Stage(index=stage.index + 1, best=best)}
        return {ALL_TASKS: Stage(index=stage.index, recent=recent, best=best)}


@dataclass(frozen=True, kw_only=True)
class RandomJSRL:
    """The random variant: h is uniform over 0 .. all lines but the last, anew at each visit."""

    guides: Mapping[str, Guide]
    """Task id -> its reference."""

    def num_lines(self, task_id: str, stages: Stages, rng: np.random.Generator) -> int:
        """h; 0 for a task without a guide."""
        return int(rng.integers(self.guides[task_id].most_lines + 1)) if task_id in self.guides else 0

    def after(self, stages: Stages, successes: Mapping[str, Sequence[float]]) -> dict[str, Stage]:
        """There are no stages."""
        return {}
