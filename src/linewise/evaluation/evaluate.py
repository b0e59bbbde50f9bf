"""Sample programs for a set of tasks, judge them, and summarise."""

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace

from linewise.errors import UserError
from linewise.evaluation.intervals import Estimate, bootstrap_mean
from linewise.evaluation.pass_at_k import pass_at_k
from linewise.rollout.collect import collect
from linewise.rollout.prompts import PromptOptions, PromptStyle
from linewise.types import Group, Judge, Policy, Rollout, Sampling, Task

TASKS_AT_ONCE = 128
"""Tasks sampled together: enough to fill a batch, few enough that memory stays flat."""


@dataclass(frozen=True, kw_only=True)
class TaskResult:
    """How the programs for one task fared."""

    task_id: str
    family: str
    """`metadata["family"]` of the task; empty where it has none."""
    num_samples: int
    num_passed: int
    verdicts: Mapping[str, int]
    """Verdict -> number of programs."""
    picked: float | None = None
    """Probability that the program ranked best passes (ties are broken at random); None where nothing ranked."""


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """The results of all tasks, with what it takes to repeat them."""

    results: tuple[TaskResult, ...]
    policy: str
    num_samples: int
    """Programs asked for, for each task; a task may hold fewer where the judge failed."""
    sampling: Sampling
    prompts: PromptOptions
    seed: int
    num_judge_errors: int = 0
    num_tokens: int = 0
    seconds_generate: float = 0.0
    seconds_judge: float = 0.0

    def pass_at_k(self, k: int) -> Estimate:
        """Mean pass@k over tasks with a 95 % bootstrap interval. Raises ValueError where a task has fewer than k programs."""
        return bootstrap_mean([pass_at_k(result.num_samples, result.num_passed, k) for result in self.results])

    def by_family(self, k: int) -> dict[str, Estimate]:
        """pass@k of each family of tasks, sorted by name."""
        families = sorted({result.family for result in self.results})
        return {
            family: bootstrap_mean(
                [pass_at_k(one.num_samples, one.num_passed, k) for one in self.results if one.family == family]
            )
            for family in families
        }

    @property
    def verdicts(self) -> Counter[str]:
        """Number of programs of each verdict, over all tasks."""
        return sum((Counter(result.verdicts) for result in self.results), Counter[str]())

    def to_json(self) -> str:
        """JSON text, the inverse of `from_json`."""
        return json.dumps(asdict(self), indent=1)

    @classmethod
    def from_json(cls, text: str) -> "Evaluation":
        """Read the text of `to_json`. Raises UserError for anything else."""
        try:
            record = json.loads(text)
            return cls(
                **{
                    **record,
                    "results": tuple(TaskResult(**result) for result in record["results"]),
                    "sampling": Sampling(**record["sampling"]),
                    "prompts": PromptOptions(
                        style=PromptStyle(record["prompts"]["style"]), num_examples=record["prompts"]["num_examples"]
                    ),
                }
            )
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(f"this is no evaluation that `linewise eval --out` wrote: {error!r}") from error


def evaluate(
    policy: Policy,
    tasks: Sequence[Task],
    judge: Judge,
    *,
    num_samples: int,
    sampling: Sampling,
    seed: int,
    prompts: PromptOptions,
    name: str = "",
    progress: Callable[[int], None] | None = None,
    ranker: Callable[[Sequence[Rollout]], Sequence[float]] | None = None,
) -> Evaluation:
    """Evaluate a policy: `num_samples` programs for each task. `progress` is told the number of completions finished.

    `ranker` values the programs of a task, to see how often the best-valued one passes (`evaluation/rerank.py`).

    A program that the judge could not judge is left out and counted; a task that loses all of its programs raises
    UserError, for it would silently leave the mean.
    """
    collections = [
        collect(
            policy,
            judge,
            tasks[begin : begin + TASKS_AT_ONCE],
            num_samples=num_samples,
            sampling=sampling,
            seed=seed + begin,
            prompts=prompts,
            progress=progress,
        )
        for begin in range(0, len(tasks), TASKS_AT_ONCE)
    ]
    lost = [task_id for collection in collections for task_id in collection.empty_tasks]
    if lost:
        faults = [fault for collection in collections for fault in collection.faults]
        raise UserError(
            f"the judge failed on every program of {len(lost)} tasks ({', '.join(lost[:3])} ...): {faults[0]}. "
            "Try one with `linewise judge`, or fewer --workers."
        )
    return Evaluation(
        results=tuple(result_of(group, ranker) for collection in collections for group in collection.groups),
        policy=name,
        num_samples=num_samples,
        sampling=sampling,
        prompts=prompts,
        seed=seed,
        num_judge_errors=sum(collection.num_judge_errors for collection in collections),
        num_tokens=sum(collection.num_tokens for collection in collections),
        seconds_generate=sum(collection.seconds_generate for collection in collections),
        seconds_judge=sum(collection.seconds_judge for collection in collections),
    )


def merged(parts: Sequence[Evaluation]) -> Evaluation:
    """One evaluation of parts that were made side by side, by several processes, of different tasks.

    Counts are summed; seconds are those of the slowest part.
    """
    return replace(
        parts[0],
        results=tuple(result for part in parts for result in part.results),
        num_judge_errors=sum(part.num_judge_errors for part in parts),
        num_tokens=sum(part.num_tokens for part in parts),
        seconds_generate=max(part.seconds_generate for part in parts),
        seconds_judge=max(part.seconds_judge for part in parts),
    )


def result_of(group: Group, ranker: Callable[[Sequence[Rollout]], Sequence[float]] | None = None) -> TaskResult:
    """The summary of one task."""
    verdicts = Counter(str(rollout.report.verdict) for rollout in group.rollouts)
    passed = [rollout.report.passed for rollout in group.rollouts]
    return TaskResult(
        task_id=group.task.id,
        family=group.task.metadata.get("family", ""),
        num_samples=len(group.rollouts),
        num_passed=sum(passed),
        verdicts=dict(verdicts),
        picked=None if ranker is None else picked_pass_rate(ranker(group.rollouts), passed),
    )


def picked_pass_rate(values: Sequence[float], passed: Sequence[bool]) -> float:
    """Share of passing programs among those of the highest value: the pass rate of a best one drawn at random.

    Example: values 0.5, 0.9, 0.9 where only the second passes give 1/2.
    """
    best = max(values)
    chosen = [ours for value, ours in zip(values, passed, strict=True) if value == best]
    return sum(chosen) / len(chosen)


def paired_difference(before: Evaluation, after: Evaluation, k: int = 1) -> Estimate:
    """Mean over tasks of (pass@k after - pass@k before) of the same task, with a 95 % bootstrap interval over tasks.

    Pairing removes the spread between easy and hard tasks. Raises ValueError unless both hold the same tasks.
    """
    old = {result.task_id: result for result in before.results}
    new = {result.task_id: result for result in after.results}
    if old.keys() != new.keys():
        odd = sorted(old.keys() ^ new.keys())[0]
        raise ValueError(f"the evaluations do not hold the same tasks: '{odd}' is in one only")
    return bootstrap_mean(
        [
            pass_at_k(new[task_id].num_samples, new[task_id].num_passed, k)
            - pass_at_k(old[task_id].num_samples, old[task_id].num_passed, k)
            for task_id in old
        ]
    )
