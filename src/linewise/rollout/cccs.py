"""CCCS, a curriculum of code completion subtasks (StepCoder, arXiv:2402.01391, section 3.2).

The reference is cut at its conditional statements, c_1 < c_2 < .. < c_n (lines before each), and the task begins at

    s_k = c_{n-k},    k = 0, 1, .. n    (c_0 = 0: the original task)

that is, from the last conditional statement. A task moves on to the statement before it, k <- k + 1, once the mean success of
its last `window` visits is larger than `threshold`. Each task has a stage of its own.

Deviations. 1: the threshold is .5 by default; the paper gives no number. 2: conditional statements are `if`, `elif`, `while`,
`for` and `match` statements, by Python's own parser; the cut is before their line. 3: a task without one, or without a usable
reference, is the original task from the start.
"""

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from linewise.rollout.guide import Guide, Stage, Stages

CONDITIONALS = (ast.If, ast.While, ast.For, ast.AsyncFor, ast.Match)


def conditional_lines(source: str) -> tuple[int, ...]:
    r"""The 1-based lines on which conditional statements begin, ascending; none for a source that does not parse.

    Example: `"def f(a):\n    if a:\n        return 1\n    return 2"` gives (2,).
    """
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError):
        return ()
    return tuple(sorted({node.lineno for node in ast.walk(tree) if isinstance(node, CONDITIONALS)}))


@dataclass(frozen=True, kw_only=True)
class CCCS:
    """The curriculum, one stage for each task."""

    guides: Mapping[str, Guide]
    """Task id -> its reference."""
    threshold: float = 0.5
    """Success in [0, 1] above which a task moves on."""
    window: int = 3
    """Visits of a task over which its success is averaged."""

    def num_lines(self, task_id: str, stages: Stages, rng: np.random.Generator) -> int:
        """s_k of the task's stage k; 0 for a task without a guide."""
        guide = self.guides.get(task_id)
        if guide is None:
            return 0
        starts = (0, *guide.conditionals)
        return starts[max(0, len(starts) - 1 - stages.get(task_id, Stage()).index)]

    def after(self, stages: Stages, successes: Mapping[str, Sequence[float]]) -> dict[str, Stage]:
        """The stages after some visits; a task moves one stage at most, and not beyond the original task."""
        moved = dict(stages)
        for task_id, rates in successes.items():
            if task_id not in self.guides:
                continue
            stage = stages.get(task_id, Stage())
            recent = (*stage.recent, *rates)[-self.window :]
            passes = len(recent) == self.window and float(np.mean(recent)) > self.threshold
            if passes and stage.index < len(self.guides[task_id].conditionals):
                moved[task_id] = Stage(index=stage.index + 1)
            else:
                moved[task_id] = Stage(index=stage.index, recent=recent)
        return moved
