"""What a run may decide before and after each step, whatever its algorithm: which tasks, what is given, when to reset.

Each decision is a value's (`rollout/cccs.py`, `rollout/jsrl.py`, `rollout/roml.py`, `training/prorl.py`); this file asks
them and keeps what they remember. All processes of a run remember the same: they learn of each other's visits once a step.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from linewise.rollout.guide import Curriculum, Guide, Stage
from linewise.rollout.roml import TaskSampler
from linewise.training.config import AnyRecipe
from linewise.training.prorl import Plateau
from linewise.training.seeds import stream, visit
from linewise.types import Beginning, Group, Task


@dataclass(frozen=True, kw_only=True)
class HookState:
    """What the hooks remember between steps; a part of the run's state."""

    stages: Mapping[str, Stage] = field(default_factory=dict)
    """Of the curriculum."""
    task_probs: Mapping[str, float] = field(default_factory=dict)
    """phi of the task sampler; empty before its first refit."""
    plateau: Plateau = Plateau()


@dataclass(frozen=True, kw_only=True)
class Visit:
    """One task of a round, and what is given of its answer."""

    task: Task
    weight: float = 1.0
    """The task sampler's importance weight."""
    num_lines: int = 0
    """Lines of the reference that are given."""
    begun: Beginning | None = None


@dataclass(frozen=True, kw_only=True)
class Visited:
    """What came of a visit."""

    task_id: str
    kind: str
    """What the task sampler weights: the task, or a value of its metadata."""
    weight: float
    num_lines: int
    """Lines that were given."""
    success: float
    """Share of its programs that passed, in [0, 1]."""


@dataclass(frozen=True, kw_only=True)
class Hooks:
    """The hooks of a run; without any, all tasks are visited in turn and programs are written from scratch."""

    recipe: AnyRecipe
    tasks: Sequence[Task]
    guides: Mapping[str, Guide] = field(default_factory=dict)
    """Of the tasks whose reference can be given."""
    curriculum: Curriculum | None = None
    sampler: TaskSampler | None = None

    def visits(self, state: HookState, round_index: int) -> list[Visit]:
        """All processes' visits of one round; a pure function."""
        seed, count = self.recipe.seed, self.recipe.collection.tasks_per_step
        if self.sampler is None:
            tasks = visit(self.tasks, visit_index=round_index, count=count, seed=seed)
            visits = [Visit(task=task) for task in tasks]
        else:
            picks = self.sampler.draw(state.task_probs, count, stream(seed, "tasks", round_index))
            visits = [Visit(task=pick.task, weight=pick.weight) for pick in picks]
        if self.curriculum is None:
            return visits
        rng = stream(seed, "roll-in", round_index)
        return [self.begun(one, self.curriculum.num_lines(one.task.id, state.stages, rng)) for one in visits]

    def begun(self, one: Visit, num_lines: int) -> Visit:
        """The visit with the first lines of the reference given."""
        beginning = self.guides[one.task.id].begin(num_lines) if num_lines else None
        return replace(one, num_lines=0 if beginning is None else num_lines, begun=beginning)

    def visited(self, visits: Sequence[Visit], groups: Sequence[Group]) -> list[Visited]:
        """What came of a round's visits; `groups` are in their order, without those that could not be judged."""
        found: list[Visited] = []
        remaining = list(groups)
        for one in visits:
            if remaining and remaining[0].task.id == one.task.id:
                rollouts = remaining.pop(0).rollouts
                found.append(
                    Visited(
                        task_id=one.task.id,
                        kind=one.task.id if self.sampler is None else self.sampler.kind(one.task),
                        weight=one.weight,
                        num_lines=one.num_lines,
                        success=float(np.mean([rollout.report.passed for rollout in rollouts])),
                    )
                )
        assert not remaining, "every group is of a visit"
        return found

    def after(self, state: HookState, visited: Sequence[Visited]) -> HookState:
        """What is remembered after a step, from the visits of all processes. A pure function."""
        if not visited:
            return state
        successes: dict[str, list[float]] = {}
        for one in visited:
            successes.setdefault(one.task_id, []).append(one.success)
        rate = float(np.mean([one.success for one in visited]))
        return HookState(
            stages=state.stages if self.curriculum is None else self.curriculum.after(state.stages, successes),
            task_probs=state.task_probs if self.sampler is None else self._refitted(state, visited),
            plateau=state.plateau.after(rate, self.recipe.reset),
        )

    def metrics(self, state: HookState, visited: Sequence[Visited]) -> dict[str, float]:
        """What the hooks did in a step; nothing for those that are off."""
        found: dict[str, float] = {}
        if self.curriculum is not None and visited:
            found["roll_in/share"] = float(np.mean([one.num_lines > 0 for one in visited]))
            found["roll_in/lines"] = float(np.mean([one.num_lines for one in visited]))
            found["roll_in/stage"] = float(np.mean([float(stage.index) for stage in state.stages.values()] or [0.0]))
        if self.sampler is not None and visited:
            weights, returns = np.array([one.weight for one in visited]), np.array([one.success for one in visited])
            found["roml/threshold"] = self.sampler.threshold(weights, returns)
            found["roml/largest_weight"] = float(weights.max())
        if self.recipe.reset.window:
            found["reset/count"] = float(state.plateau.num_resets)
        return found

    def _refitted(self, state: HookState, visited: Sequence[Visited]) -> dict[str, float]:
        assert self.sampler is not None
        return self.sampler.refit(
            state.task_probs,
            [one.kind for one in visited],
            [one.weight for one in visited],
            [one.success for one in visited],
        )


def hooks_to_record(state: HookState) -> dict[str, Any]:
    """JSON form of what hooks remember."""
    return asdict(state)


def hooks_from_record(record: Mapping[str, Any]) -> HookState:
    """What `hooks_to_record` wrote."""
    stages = {name: Stage(**{**one, "recent": tuple(one["recent"])}) for name, one in record["stages"].items()}
    plateau = record["plateau"]
    return HookState(
        stages=stages,
        task_probs=record["task_probs"],
        plateau=Plateau(rates=tuple(plateau["rates"]), num_resets=plateau["num_resets"]),
    )
