"""One step, in separable parts: collect into the buffer, draw, build the loss terms, update."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from linewise.errors import RunError
from linewise.losses.aggregate import Aggregation, StepSize, sequence_scales
from linewise.losses.reinforce import reinforce
from linewise.losses.sft import cross_entropy
from linewise.rollout.baselines import BaseProgram, best_so_far
from linewise.rollout.collect import Collection, collect
from linewise.training.batch import Example, example_from_sample
from linewise.training.config import AnyRecipe
from linewise.training.learner import LossTerm
from linewise.training.seeds import derive_seed, visit
from linewise.training.state import RunState
from linewise.types import Group, Judge, Policy, Report, Sample, Sampling, ScoredGroup, Scores, Task

Progress = Callable[[int], None]

MAX_EMPTY_ROUNDS = 20
"""Collections without one usable sample in a row after which a run stops: something is broken that waiting won't mend."""


@dataclass(frozen=True, kw_only=True)
class Collected:
    """What filling the buffer gave."""

    state: RunState
    """With the new samples in the buffer and the history brought up to date."""
    collections: tuple[Collection, ...]
    visited: tuple[Task, ...]
    """Tasks of the collections, in order."""
    seconds_credit: float


@dataclass(frozen=True, kw_only=True)
class Collector:
    """Samples, judges and credits programs; it never touches the trained weights, so it could run elsewhere."""

    recipe: AnyRecipe
    tasks: Sequence[Task]
    policy: Policy
    judge: Judge
    process_index: int = 0
    num_processes: int = 1

    def fill(self, state: RunState, progress: Progress | None = None) -> Collected:
        """Collect until the buffer is ready for an update: once as a rule, several times at the start.

        Raises RunError where collection after collection yields nothing.
        """
        collections: list[Collection] = []
        visited: list[Task] = []
        seconds_credit = 0.0
        state = replace(state, buffer=state.buffer.drop_stale(self.policy.version))
        while not collections or not state.buffer.ready:
            tasks = self.tasks_of_round(state.rounds)
            collection = self.collect_round(state, tasks, progress)
            started = time.perf_counter()
            samples = [sample for group in collection.groups for sample in credit_group(self.recipe, group)]
            seconds_credit += time.perf_counter() - started
            state = replace(
                state,
                rounds=state.rounds + 1,
                num_samples=state.num_samples + len(samples),
                buffer=state.buffer.add(samples),
                history=best_so_far(state.history, collection.groups),
            )
            collections.append(collection)
            visited.extend(tasks)
            if not any(collection.groups for collection in collections) and len(collections) >= MAX_EMPTY_ROUNDS:
                raise RunError(
                    f"{len(collections)} collections in a row gave no usable sample: every program met a fault of the "
                    "judge. Try one with `linewise judge`, or fewer --workers."
                )
        return Collected(
            state=state, collections=tuple(collections), visited=tuple(visited), seconds_credit=seconds_credit
        )

    def tasks_of_round(self, round_index: int) -> list[Task]:
        """This process's share of the tasks of one round."""
        everyones = visit(
            self.tasks,
            visit_index=round_index,
            count=self.recipe.collection.tasks_per_step,
            seed=self.recipe.seed,
        )
        return everyones[self.process_index :: self.num_processes]

    def collect_round(self, state: RunState, tasks: Sequence[Task], progress: Progress | None) -> Collection:
        """Sample and judge the tasks of one round."""
        options = self.recipe.collection
        return collect(
            self.policy,
            self.judge,
            tasks,
            num_samples=options.num_samples,
            sampling=options.sampling,
            seed=derive_seed(self.recipe.seed, "sample", state.rounds, self.process_index),
            prompts=options.prompts,
            baselines=self.base_programs(state.history, tasks),
            progress=progress,
        )

    def base_programs(self, history: Mapping[str, Report], tasks: Sequence[Task]) -> Mapping[str, Report]:
        """W_base of each task, as the recipe wants it."""
        options = self.recipe.collection
        match options.base_program:
            case BaseProgram.NONE:
                return {}
            case BaseProgram.BEST_SO_FAR:
                return history
            case BaseProgram.LATEST_GREEDY:
                greedy = Sampling(temperature=0.0, max_new_tokens=options.sampling.max_new_tokens)
                decoded = collect(
                    self.policy, self.judge, tasks, num_samples=1, sampling=greedy, seed=0, prompts=options.prompts
                )
                return {group.task.id: group.rollouts[0].report for group in decoded.groups}


def credit_group(recipe: AnyRecipe, group: Group) -> list[Sample]:
    """The samples of a group. Credit that is not finite, or of another length than the tokens, is a bug of the assigner."""
    scores = tuple(Scores() for _ in group.rollouts)
    credits = recipe.credit(ScoredGroup(**vars(group), scores=scores))
    for rollout, credit in zip(group.rollouts, credits, strict=True):
        assert credit.advantages.shape == (len(rollout.completion.token_ids),), "one advantage for each token"
        assert np.isfinite(credit.advantages).all(), "advantages are finite"
    return [Sample(rollout=rollout, credit=credit) for rollout, credit in zip(group.rollouts, credits, strict=True)]


def policy_lengths(samples: Sequence[Sample]) -> list[int]:
    """Number of loss-bearing tokens of each sample."""
    return [int((sample.credit.weights != 0).sum()) for sample in samples]


def policy_term(samples: Sequence[Sample], aggregation: Aggregation, step: StepSize) -> LossTerm:
    """The policy-gradient term of the drawn samples; `step` is the size over all processes."""
    scales = sequence_scales(aggregation, policy_lengths(samples), step)
    return LossTerm(
        name="policy",
        loss=lambda logprobs, batch: reinforce(logprobs, batch.advantages, batch.weights),
        examples=[example_from_sample(sample, float(scale)) for sample, scale in zip(samples, scales, strict=True)],
    )


def supervised_term(
    references: Sequence[Example], aggregation: Aggregation, step: StepSize, *, weight: float
) -> LossTerm:
    """The cross-entropy term of the references; `step` is the size over all processes."""
    scales = sequence_scales(aggregation, [len(reference.response_ids) for reference in references], step)
    return LossTerm(
        name="supervised",
        loss=lambda logprobs, batch: cross_entropy(logprobs, batch.weights),
        examples=[
            replace(reference, scale=weight * float(scale)) for reference, scale in zip(references, scales, strict=True)
        ],
    )
