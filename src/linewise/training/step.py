"""The first half of a step: collect programs, let models score them, turn verdicts and scores into credit, fill the buffer."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from linewise.credit.group import is_constant
from linewise.errors import RunError
from linewise.rollout.baselines import BaseProgram, best_so_far
from linewise.rollout.collect import Collection, collect
from linewise.training.config import AnyRecipe
from linewise.training.hooks import Hooks, Visit, Visited
from linewise.training.scoring import Scorer
from linewise.training.seeds import derive_seed
from linewise.training.state import RunState
from linewise.types import Group, Judge, Policy, Report, Sample, Sampling, ScoredGroup, Task
from linewise.values.monte_carlo import Valuation

Progress = Callable[[int], None]

MAX_EMPTY_ROUNDS = 20
"""Collections without one usable sample in a row after which a run stops: something is broken that waiting won't mend."""


@dataclass(frozen=True, kw_only=True)
class Collected:
    """What filling the buffer gave."""

    state: RunState
    """With the new samples in the buffer and the history brought up to date."""
    collections: tuple[Collection, ...]
    num_left_out: int
    """Groups that dynamic sampling left out."""
    decodes: tuple[Collection, ...]
    """The greedy programs that stood for W_base, where the recipe wants them."""
    valuations: tuple[Valuation, ...]
    """What sampling for line values cost, where the credit reads them."""
    visited: tuple[Visited, ...]
    """What came of this process's visits."""
    seconds_score: float
    seconds_credit: float

    @property
    def num_programs(self) -> int:
        """Programs sampled for whatever purpose: in groups kept or left out, greedily, and to value lines."""
        sampled = (*self.collections, *self.decodes)
        return sum(one.num_programs for one in sampled) + sum(one.num_programs for one in self.valuations)

    @property
    def num_tokens(self) -> int:
        """Tokens of these programs."""
        sampled = (*self.collections, *self.decodes)
        return sum(one.num_tokens for one in sampled) + sum(one.num_tokens for one in self.valuations)


@dataclass(frozen=True, kw_only=True)
class Collector:
    """Samples, judges, scores and credits programs; it reads weights and never changes them."""

    recipe: AnyRecipe
    hooks: Hooks
    policy: Policy
    judge: Judge
    scorer: Scorer
    process_index: int = 0
    num_processes: int = 1

    def fill(self, state: RunState, progress: Progress | None = None) -> Collected:
        """Collect until the buffer is ready for an update: once as a rule, several times at the start.

        Raises RunError where collection after collection yields nothing.
        """
        collections: list[Collection] = []
        seconds_score = seconds_credit = 0.0
        decodes: list[Collection] = []
        valuations: list[Valuation] = []
        visited: list[Visited] = []
        num_left_out = 0
        state = replace(state, buffer=state.buffer.drop_stale(self.policy.version))
        while not collections or not state.buffer.ready:
            visits = self.visits_of_round(state)
            decoded = self.greedy_programs([one.task for one in visits])
            decodes += [] if decoded is None else [decoded]
            collection = self.collect_round(state, visits, decoded, progress)
            visited += self.hooks.visited(visits, collection.groups)
            started = time.perf_counter()
            wanted = [group for group in collection.groups if self.is_wanted(group)]
            scored = self.scorer(wanted, purpose=f"round {state.rounds}", progress=progress)
            between = time.perf_counter()
            samples = [sample for group in scored.groups for sample in credit_group(self.recipe, group)]
            seconds_score += between - started
            seconds_credit += time.perf_counter() - between
            if scored.valuation is not None:
                valuations.append(scored.valuation)
            state = replace(
                state,
                rounds=state.rounds + 1,
                num_samples=state.num_samples + len(samples),
                buffer=state.buffer.add(samples),
                history=best_so_far(state.history, filter(is_from_scratch, collection.groups)),
            )
            collections.append(collection)
            num_left_out += len(collection.groups) - len(wanted)
            if self.recipe.collection.dynamic_sampling and len(collections) == self.recipe.collection.max_rounds:
                break
            if len(collections) >= MAX_EMPTY_ROUNDS:
                check_judged(collections)
        if not state.buffer.entries:
            check_judged(collections)
            raise RunError(
                f"in {len(collections)} rounds of sampling no task had both passing and failing programs, so nothing is left "
                "to learn from: the tasks are too hard or too easy. Choose others, sample more programs a task "
                "(--collection.num-samples), or switch dynamic sampling off (--collection.no-dynamic-sampling)."
            )
        return Collected(
            state=state,
            num_left_out=num_left_out,
            collections=tuple(collections),
            decodes=tuple(decodes),
            valuations=tuple(valuations),
            visited=tuple(visited),
            seconds_score=seconds_score,
            seconds_credit=seconds_credit,
        )

    def is_wanted(self, group: Group) -> bool:
        """Whether a group goes into the buffer. Dynamic sampling (DAPO, arXiv:2503.14476, eq. 11) wants mixed outcomes."""
        return not (self.recipe.collection.dynamic_sampling and is_constant(group))

    def visits_of_round(self, state: RunState) -> list[Visit]:
        """This process's share of the visits of one round."""
        return self.hooks.visits(state.hooks, state.rounds)[self.process_index :: self.num_processes]

    def collect_round(
        self, state: RunState, visits: Sequence[Visit], decoded: Collection | None, progress: Progress | None
    ) -> Collection:
        """Sample and judge the tasks of one round; `decoded` is what `greedy_programs` gave for them."""
        options = self.recipe.collection
        tasks = [one.task for one in visits]
        return collect(
            self.policy,
            self.judge,
            tasks,
            num_samples=options.num_samples,
            sampling=options.sampling,
            seed=derive_seed(self.recipe.seed, "sample", state.rounds, self.process_index),
            prompts=options.prompts,
            baselines=self.base_programs(state.history, decoded),
            begun=[one.begun for one in visits],
            progress=progress,
        )

    def greedy_programs(self, tasks: Sequence[Task]) -> Collection | None:
        """A greedy program of the newest policy for each task, where one stands for W_base."""
        options = self.recipe.collection
        if options.base_program is not BaseProgram.LATEST_GREEDY:
            return None
        greedy = Sampling(temperature=0.0, max_new_tokens=options.sampling.max_new_tokens)
        return collect(self.policy, self.judge, tasks, num_samples=1, sampling=greedy, seed=0, prompts=options.prompts)

    def base_programs(self, history: Mapping[str, Report], decoded: Collection | None) -> Mapping[str, Report]:
        """W_base of each task, as the recipe wants it."""
        match self.recipe.collection.base_program:
            case BaseProgram.NONE:
                return {}
            case BaseProgram.BEST_SO_FAR:
                return history
            case BaseProgram.LATEST_GREEDY:
                assert decoded is not None, "greedy programs are decoded before the round"
                return {group.task.id: group.rollouts[0].report for group in decoded.groups}


def process_share(recipe: AnyRecipe, count: int, *, process_index: int, num_processes: int) -> int:
    """This process's part of a step's programs or of the buffer, in proportion to the tasks that it visits; at least 1.

    Example: of 3 tasks two processes visit 2 and 1, so that their shares of 12 programs are 8 and 4.
    """
    tasks = recipe.collection.tasks_per_step
    ours = len(range(process_index, tasks, num_processes))
    return max(1, -(-count * ours // tasks))


def check_judged(collections: Sequence[Collection]) -> None:
    """Raises RunError where the judge could not judge a single program."""
    if not any(collection.groups for collection in collections):
        raise RunError(
            f"{len(collections)} collections in a row gave no usable sample: every program met a fault of the judge. Try one "
            "with `linewise judge`, or fewer --workers."
        )


def is_from_scratch(group: Group) -> bool:
    """Whether nothing was given of the answers, so that a program can stand for W_base in later visits."""
    return all(rollout.begun is None for rollout in group.rollouts)


def credit_group(recipe: AnyRecipe, group: ScoredGroup) -> list[Sample]:
    """The samples of a group. Credit that is not finite, or of another length than the tokens, is a bug of the assigner."""
    credits = recipe.credit(group)
    for rollout, credit in zip(group.rollouts, credits, strict=True):
        assert credit.advantages.shape == (len(rollout.completion.token_ids),), "one advantage for each token"
        assert np.isfinite(credit.advantages).all(), "advantages are finite"
    return [
        Sample(rollout=rollout, credit=credit, scores=scores)
        for rollout, credit, scores in zip(group.rollouts, credits, group.scores, strict=True)
    ]
