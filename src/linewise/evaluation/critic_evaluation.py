"""Critic sampling measured on all tests, beside plain sampling of as many programs.

Three sets of programs of each task, where critic sampling drew n programs to end with N:

    plain          n plain samples, the first N of which critic sampling began with
    kept           N of those n: the ones that pass the example tests first, in the order in which they were drawn
    final          the N programs of critic sampling

`kept` is what the same budget and the same example tests give without a critic. pass@k of `plain` is the policy's own,
without bias; of the two others it is the chance that one of k programs, drawn from the N, passes.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from linewise.errors import JudgeError, UserError
from linewise.evaluation.candidates import Candidate, visible
from linewise.evaluation.critic_sampling import Cost, CriticSampler, Drawn, cost_of
from linewise.evaluation.evaluate import TASKS_AT_ONCE, Evaluation, TaskResult, result_of
from linewise.rollout.collect import judge_once, rollouts_of
from linewise.types import Group, Judge, Report, Task

Verdicts = dict[tuple[str, str], Report | JudgeError]


@dataclass(frozen=True, kw_only=True)
class CriticEvaluation:
    """What critic sampling gives and costs."""

    final: Evaluation
    plain: Evaluation
    """As many plain programs as critic sampling drew; the first N alone if nothing was compared."""
    kept: Evaluation | None
    """None if nothing was compared."""
    cost: Cost
    """Of critic sampling. Tests that measure are no part of it."""
    plain_cost: Cost
    """Of the plain programs, and of the example tests that `kept` chose by."""
    mean_kept: float | None
    """Mean share of a program's tokens that was kept in refining it; None where none was refined."""
    num_repairs: int
    """Tasks, in all rounds, that no program passed and that were repaired."""
    num_without_examples: int
    """Tasks without an example test: they keep their plain samples."""
    num_without_hidden: int
    """Tasks all of whose tests are examples: there, what chooses is what measures."""


def evaluate_critic_sampling(
    sampler: CriticSampler,
    tasks: Sequence[Task],
    judge: Judge,
    *,
    seed: int,
    name: str = "",
    compare: bool = True,
) -> CriticEvaluation:
    """Draw programs by `sampler`, which sees example tests alone, and run them against all tests.

    With `compare` as many plain programs are drawn. A program that the judge could not judge is left out and counted; a
    task that loses all of its programs raises UserError, and so do tasks of which none has an example test.
    """
    if not any(task.example_tests for task in tasks):
        raise UserError(
            f"none of the {len(tasks)} tasks has an example test, by which critic sampling chooses: mark tests as examples "
            "(docs/task-format.md), take another set, or leave --strategy plain."
        )
    drawn: list[Drawn] = []
    plain: list[tuple[Candidate, ...]] = []
    verdicts: Verdicts = {}
    started, judging = time.perf_counter(), 0.0
    for begin in range(0, len(tasks), TASKS_AT_ONCE):
        block = tasks[begin : begin + TASKS_AT_ONCE]
        ours = sampler([visible(task) for task in block], seed=seed + begin)
        spare = [one.cost.num_programs - sampler.num_samples if compare else 0 for one in ours]
        more = sampler.more(ours, spare, seed=seed + begin)
        drawn += ours
        plain += [one.first + extra for one, extra in zip(ours, more, strict=True)]
        sampled = time.perf_counter()
        programs = [
            [each.program for each in (*one.final, *theirs)] for one, theirs in zip(ours, plain[begin:], strict=True)
        ]
        verdicts |= judge_once(judge, block, programs)
        judging += time.perf_counter() - sampled

    def evaluation(sets: Sequence[Sequence[Candidate]], cost: Cost, *, timed: bool = False) -> Evaluation:
        results = [task_result(task, candidates, verdicts) for task, candidates in zip(tasks, sets, strict=True)]
        return Evaluation(
            results=tuple(results),
            policy=name,
            num_samples=sampler.num_samples,
            sampling=sampler.sampling,
            prompts=sampler.prompts,
            seed=seed,
            num_judge_errors=sum(map(len, sets)) - sum(result.num_samples for result in results),
            num_tokens=cost.num_tokens,
            seconds_generate=time.perf_counter() - started - judging if timed else 0.0,
            seconds_judge=judging if timed else 0.0,
        )

    cost = sum((one.cost for one in drawn), Cost())
    plain_cost = sum((plain_cost_of(each) for each in plain), Cost())
    shares = [share for one in drawn for share in one.kept]
    kept = [best_by_examples(theirs, sampler.num_samples) for theirs in plain]
    return CriticEvaluation(
        final=evaluation([one.final for one in drawn], cost, timed=True),
        plain=evaluation(plain, plain_cost),
        kept=evaluation(kept, plain_cost) if compare else None,
        cost=cost,
        plain_cost=plain_cost,
        mean_kept=sum(shares) / len(shares) if shares else None,
        num_repairs=sum(one.num_repairs for one in drawn),
        num_without_examples=sum(not task.example_tests for task in tasks),
        num_without_hidden=sum(len(task.example_tests) == len(task.tests) for task in tasks),
    )


def best_by_examples(candidates: Sequence[Candidate], count: int) -> list[Candidate]:
    """`count` programs, those that pass the example tests first, otherwise in their order."""
    return sorted(candidates, key=lambda each: not each.passes)[:count]


def plain_cost_of(candidates: Sequence[Candidate]) -> Cost:
    """What plain samples and their runs against the example tests cost."""
    ran = len({each.program.source for each in candidates if each.report is not None})
    return cost_of([each.completion for each in candidates]) + Cost(num_verdicts=ran)


def task_result(task: Task, candidates: Sequence[Candidate], verdicts: Verdicts) -> TaskResult:
    """How programs of a task fared on all its tests. Raises UserError where the judge failed on every one of them."""
    programs = [each.program for each in candidates]
    reports = [verdicts[task.id, program.source] for program in programs]
    rollouts = rollouts_of(task, [each.completion for each in candidates], programs, reports)
    if not rollouts:
        raise UserError(
            f"the judge failed on every program of the task {task.id}: {reports[0]}. Try one with `linewise judge`, or "
            "fewer --workers."
        )
    return result_of(Group(task=task, rollouts=tuple(rollouts)))
