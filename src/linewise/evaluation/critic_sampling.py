"""Critic sampling of CodeRL (Le et al. 2022, arXiv:2207.01780, section 3.4): programs that example tests and a critic improve.

N programs of each task are sampled and run against the task's *example* tests. One round is then

    repair   where none of the N passes: the M with the highest p(pass | W) go to a repair model, each with its outcome,
             its error type and its text; it writes N new programs, which are run against the examples
    refine   where some pass, P of them: each is cut at its best beginning, argmax_t p(pass | w_1..t), and continued N/P
             times from there; the N continuations take the place of all programs

Hidden tests have no part in it: tasks come in without them. Deviations:

1. The repair model is the policy unless another is given; the paper trains one. What it reads is the task's text with the
   failed program after it.
2. A program is continued on its own tokens. It may keep all of them, where the critic likes its end best.
3. Repaired programs are refined as answers to the plain prompt, which the critic was trained on.
4. A task without example tests keeps its plain samples, and one that no repair helped its repaired programs.
5. Together with its beginning a continuation has at most as many tokens as a plain sample.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from linewise.evaluation.candidates import (
    Ask,
    Candidate,
    begin_at,
    best_cut,
    candidate,
    joined,
    num_program_tokens,
    repair_task,
    spread,
)
from linewise.prm.completer import Watch, with_stream
from linewise.prm.prefix import is_continued
from linewise.rollout.collect import judge_once
from linewise.rollout.program import is_complete
from linewise.rollout.prompts import PromptOptions, build_prompt
from linewise.types import Completion, Judge, Policy, Program, Prompt, Report, Sampling, Task
from linewise.values.classes import PassProbs


class Critic(Protocol):
    """What knows how likely a program, or a beginning of one, is to pass."""

    def pass_probs(self, programs: Sequence[tuple[Completion, Program]]) -> list[PassProbs]:
        """p(pass) of each program and of each of its beginnings."""


@dataclass(frozen=True, kw_only=True)
class CriticSamplingOptions:
    """How often and how widely programs are improved."""

    rounds: int = 1
    """Rounds of repair and refinement; 0 is plain sampling."""
    num_repaired: int = 1
    """M, failed programs of a task that go to the repair model."""

    def __post_init__(self) -> None:
        """Refuses numbers with which nothing could be drawn."""
        if self.rounds < 0:
            raise ValueError(f"rounds={self.rounds} must be 0 or more.")
        if self.num_repaired < 1:
            raise ValueError(f"num_repaired={self.num_repaired} must be 1 or more.")


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What programs cost. Added up over stages and tasks."""

    num_programs: int = 0
    """Programs sampled, continuations included."""
    num_tokens: int = 0
    """Tokens sampled; beginnings that were kept are not."""
    num_verdicts: int = 0
    """Programs run against example tests; equal ones of a stage once."""
    num_scored: int = 0
    """Programs that the critic read."""

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(**{name: value + getattr(other, name) for name, value in vars(self).items()})


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """The programs of one task."""

    task: Task
    """Without its hidden tests."""
    prompt: Prompt
    first: tuple[Candidate, ...]
    """[N] plain samples, run against the examples."""
    final: tuple[Candidate, ...]
    """[N] programs after the last round."""
    cost: Cost
    kept: tuple[float, ...] = ()
    """For each beginning that was continued, the share of its program's tokens that it kept."""
    num_repairs: int = 0
    """Rounds in which no program passed and the repair model wrote new ones."""


@dataclass(frozen=True, kw_only=True)
class CriticSampler:
    """Draws programs for tasks whose hidden tests it never sees."""

    policy: Policy
    critic: Critic
    judge: Judge
    num_samples: int
    """N."""
    sampling: Sampling
    prompts: PromptOptions
    options: CriticSamplingOptions = CriticSamplingOptions()
    repair_policy: Policy | None = None
    """None: the policy repairs its programs. Another one must have its tokens."""
    watch: Watch = lambda name, total: lambda count: None
    """Told of every stage and of every program in it."""

    def __call__(self, tasks: Sequence[Task], *, seed: int) -> list[Drawn]:
        """N programs of each task, in order. The first stage is the plain sampling of `collect` with this seed."""
        hidden = [task.id for task in tasks if any(not test.example for test in task.tests)]
        assert not hidden, f"tasks come without hidden tests (`visible`): {hidden}"
        drawn = [replace(one, first=one.final) for one in self._examined(self._first(tasks, seed))]
        for number in range(self.options.rounds):
            drawn = self._examined(drawn) if number else drawn
            stuck = {one.task.id for one in drawn if one.task.tests and not any(each.passes for each in one.final)}
            drawn = self._repaired(drawn, stuck, seed, f"repair {number}")
            drawn = self._examined(drawn, stuck)
            drawn = self._refined(drawn, seed, f"refine {number}")
        return drawn

    def more(self, drawn: Sequence[Drawn], counts: Sequence[int], *, seed: int) -> list[tuple[Candidate, ...]]:
        """Further plain samples of each task, run against the examples: what the same budget buys without a critic."""
        jobs = [
            (one, with_stream(one.prompt, f"more {place}"))
            for one, count in zip(drawn, counts, strict=True)
            for place in range(count)
        ]
        answers = self._generate(self.policy, [prompt for _, prompt in jobs], seed, "plain sampling")
        fresh: dict[str, list[Candidate]] = {one.task.id: [] for one in drawn}
        for (one, _), completion in zip(jobs, answers, strict=True):
            fresh[one.task.id].append(candidate(one.prompt, completion))
        empty = [replace(one, final=tuple(fresh[one.task.id]), cost=Cost()) for one in drawn]
        return [one.final for one in self._examined(empty)]

    def _first(self, tasks: Sequence[Task], seed: int) -> list[Drawn]:
        rendered = [build_prompt(task, self.policy, self.prompts) for task in tasks]
        completions = self.policy.generate(
            rendered,
            num_samples=self.num_samples,
            sampling=self.sampling,
            seed=seed,
            is_complete=is_complete,
            progress=self.watch("sampling", len(tasks) * self.num_samples),
        )
        drawn = []
        for task, prompt, ours in zip(tasks, rendered, completions, strict=True):
            candidates = tuple(candidate(prompt, completion) for completion in ours)
            cost = cost_of(ours)
            drawn.append(Drawn(task=task, prompt=prompt, first=candidates, final=candidates, cost=cost))
        return drawn

    def _examined(self, drawn: Sequence[Drawn], chosen: set[str] | None = None) -> list[Drawn]:
        """All tasks, or the chosen ones, with their programs run against the example tests, where they have some."""
        asked = [one for one in drawn if one.task.tests and (chosen is None or one.task.id in chosen)]
        programs = [[each.program for each in one.final] for one in asked]
        reports = judge_once(self.judge, [one.task for one in asked], programs)
        results = {one.task.id: one for one in drawn}
        for one in asked:
            final = tuple(replace(each, report=reports[one.task.id, each.program.source]) for each in one.final)
            ran = Cost(num_verdicts=len({each.program.source for each in final}))
            results[one.task.id] = replace(one, final=final, cost=one.cost + ran)
        return list(results.values())

    def _repaired(self, drawn: Sequence[Drawn], stuck: set[str], seed: int, purpose: str) -> list[Drawn]:
        """New programs for the tasks without a passing one; those whose programs nobody could judge stay as they are."""
        model = self.repair_policy or self.policy
        failed = {
            one.task.id: [each for each in one.final if isinstance(each.report, Report)]
            for one in drawn
            if one.task.id in stuck
        }
        probs = self._scored(failed)
        asks: dict[str, list[Ask]] = {}
        for one in drawn:
            ours = failed.get(one.task.id)
            if ours:
                order = np.argsort([-said.program for said in probs[one.task.id]], kind="stable")
                best = [ours[place] for place in order[: self.options.num_repaired].tolist()]
                asked = [Ask(prompt=build_prompt(repair_task(one.task, each), model, self.prompts)) for each in best]
                asks[one.task.id] = spread(asked, self.num_samples, purpose)
        repaired = self._replaced(drawn, asks, self._answers(model, asks, seed, "repair"), probs)
        return [replace(one, num_repairs=one.num_repairs + (one.task.id in asks)) for one in repaired]

    def _refined(self, drawn: Sequence[Drawn], seed: int, purpose: str) -> list[Drawn]:
        """Continuations of the best beginnings of passing programs, for the tasks that have some."""
        passing = {one.task.id: [each for each in one.final if each.passes] for one in drawn}
        passing = {task_id: ours for task_id, ours in passing.items() if ours}
        probs = self._scored(passing)
        asks: dict[str, list[Ask]] = {}
        kept: dict[str, tuple[float, ...]] = {}
        for one in drawn:
            ours = passing.get(one.task.id)
            if ours:
                cuts = [best_cut(each, said.prefixes) for each, said in zip(ours, probs[one.task.id], strict=True)]
                begun = [begin_at(one.prompt, each, cut) for each, cut in zip(ours, cuts, strict=True)]
                asks[one.task.id] = spread(begun, self.num_samples, purpose)
                lengths = [max(1, num_program_tokens(each)) for each in ours]
                kept[one.task.id] = tuple(cut / length for cut, length in zip(cuts, lengths, strict=True))
        refined = self._replaced(drawn, asks, self._answers(self.policy, asks, seed, "refinement"), probs)
        return [replace(one, kept=one.kept + kept.get(one.task.id, ())) for one in refined]

    def _scored(self, programs: dict[str, list[Candidate]]) -> dict[str, list[PassProbs]]:
        """What the critic says of programs, all read together."""
        flat = [(each.completion, each.program) for ours in programs.values() for each in ours]
        said = iter(self.critic.pass_probs(flat) if flat else [])
        return {task_id: [next(said) for _ in ours] for task_id, ours in programs.items()}

    def _answers(self, model: Policy, asks: dict[str, list[Ask]], seed: int, stage: str) -> list[Completion]:
        return self._generate(model, [ask.prompt for ours in asks.values() for ask in ours], seed, stage)

    def _replaced(
        self,
        drawn: Sequence[Drawn],
        asks: dict[str, list[Ask]],
        answers: Sequence[Completion],
        probs: dict[str, list[PassProbs]],
    ) -> list[Drawn]:
        """The tasks that were asked for new programs with those; the others as they are."""
        fresh = iter(answers)
        results = []
        for one in drawn:
            cost = one.cost + Cost(num_scored=len(probs.get(one.task.id, [])))
            ours = asks.get(one.task.id, [])
            new = [next(fresh) for _ in ours]
            final = one.final
            if ours:
                plain_ids, limit = one.first[0].completion.prompt_ids, self.sampling.max_new_tokens
                whole = [joined(ask, answer, plain_ids, limit) for ask, answer in zip(ours, new, strict=True)]
                final = tuple(candidate(one.prompt, completion) for completion in whole)
            results.append(replace(one, final=final, cost=cost + cost_of(new)))
        return results

    def _generate(self, model: Policy, prompts: Sequence[Prompt], seed: int, stage: str) -> list[Completion]:
        """One completion of each prompt; their streams tell equal prompts apart."""
        if not prompts:
            return []
        drawn = model.generate(
            prompts,
            num_samples=1,
            sampling=self.sampling,
            seed=seed,
            is_complete=is_continued,
            progress=self.watch(stage, len(prompts)),
        )
        return [completion for (completion,) in drawn]


def cost_of(completions: Sequence[Completion]) -> Cost:
    """What sampling these cost."""
    return Cost(num_programs=len(completions), num_tokens=sum(len(one.token_ids) for one in completions))
