"""Collection: tasks -> prompts -> completions -> programs -> reports -> groups."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from linewise.errors import JudgeError
from linewise.rollout.program import extract_program, is_complete
from linewise.rollout.prompts import PromptOptions, build_prompt
from linewise.types import Beginning, Completion, Group, Judge, Policy, Program, Report, Rollout, Sampling, Task


@dataclass(frozen=True, kw_only=True)
class Collection:
    """What one round of sampling and judging gave."""

    groups: tuple[Group, ...]
    """One for each task that has a judged program, in the order of the tasks."""
    num_judge_errors: int = 0
    """Programs dropped because the judge failed; they are never rewarded."""
    empty_tasks: tuple[str, ...] = ()
    """Ids of tasks that have no group, since all their programs were dropped."""
    num_programs: int = 0
    """Programs sampled, those included that the judge could not judge."""
    num_verdicts: int = 0
    """Distinct programs judged."""
    num_tokens: int = 0
    """Tokens sampled."""
    seconds_generate: float = 0.0
    seconds_judge: float = 0.0
    faults: tuple[str, ...] = field(default=())
    """What the judge's errors said."""


def collect(
    policy: Policy,
    judge: Judge,
    tasks: Sequence[Task],
    *,
    num_samples: int,
    sampling: Sampling,
    seed: int,
    prompts: PromptOptions,
    baselines: Mapping[str, Report] | None = None,
    begun: Sequence[Beginning | None] | None = None,
    progress: Callable[[int], None] | None = None,
) -> Collection:
    """Sample `num_samples` programs for each task and judge them.

    `baselines` maps task ids to the report of W_base, which goes into the groups. `begun` gives the beginning of each task's
    answer, in order, or None where the policy writes all of it; what is judged is the beginning and its continuation.
    Equal programs of one task are judged once. A fault of the judge drops its rollouts and is counted.
    """
    started = time.perf_counter()
    beginnings = [None] * len(tasks) if begun is None else begun
    rendered = [
        replace(build_prompt(task, policy, prompts), begun=beginning)
        for task, beginning in zip(tasks, beginnings, strict=True)
    ]
    completions = policy.generate(
        rendered, num_samples=num_samples, sampling=sampling, seed=seed, is_complete=is_complete, progress=progress
    )
    sampled = time.perf_counter()
    programs = [
        [extract_program(prompt, completion.text) for completion in ours]
        for prompt, ours in zip(rendered, completions, strict=True)
    ]
    verdicts = judge_once(judge, tasks, programs)
    groups: list[Group] = []
    errors: list[JudgeError] = []
    for task, beginning, ours, sources in zip(tasks, beginnings, completions, programs, strict=True):
        reports = [verdicts[task.id, program.source] for program in sources]
        errors.extend(report for report in reports if isinstance(report, JudgeError))
        rollouts = tuple(rollouts_of(task, ours, sources, reports, begun=beginning))
        if rollouts:
            groups.append(Group(task=task, rollouts=rollouts, baseline=(baselines or {}).get(task.id)))
    present = {group.task.id for group in groups}
    return Collection(
        groups=tuple(groups),
        num_judge_errors=len(errors),
        empty_tasks=tuple(task.id for task in tasks if task.id not in present),
        num_programs=sum(map(len, completions)),
        num_verdicts=len(verdicts),
        num_tokens=sum(len(completion.token_ids) for ours in completions for completion in ours),
        seconds_generate=sampled - started,
        seconds_judge=time.perf_counter() - sampled,
        faults=tuple(str(error) for error in errors),
    )


def judge_once(
    judge: Judge, tasks: Sequence[Task], programs: Sequence[Sequence[Program]]
) -> dict[tuple[str, str], Report | JudgeError]:
    """(task id, source) -> report, each distinct program judged once."""
    jobs = {(task.id, program.source): task for task, ours in zip(tasks, programs, strict=True) for program in ours}
    results = judge.run_many((task, source) for (_, source), task in jobs.items())
    return dict(zip(jobs, results, strict=True))


def rollouts_of(
    task: Task,
    completions: Sequence[Completion],
    programs: Sequence[Program],
    reports: Sequence[Report | JudgeError],
    *,
    begun: Beginning | None = None,
) -> list[Rollout]:
    """The rollouts of one task, without those that the judge could not judge."""
    return [
        Rollout(task=task, completion=completion, program=program, report=report, begun=begun)
        for completion, program, report in zip(completions, programs, reports, strict=True)
        if not isinstance(report, JudgeError)
    ]
