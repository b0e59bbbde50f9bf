"""What an outcome critic learns from: samples of the policy and the tasks' references (CodeRL, section 3.2)."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from linewise.policy.huggingface import HuggingFacePolicy
from linewise.policy.token_bytes import encode_answer
from linewise.rollout.collect import collect
from linewise.rollout.program import extract_program
from linewise.rollout.prompts import PromptOptions
from linewise.training.references import reference_answer
from linewise.types import Judge, Sampling, Task
from linewise.values.classes import OutcomeClass, outcome_class
from linewise.values.programs import JudgedProgram


@dataclass(frozen=True, kw_only=True)
class JudgedBlock:
    """The judged programs of some tasks."""

    programs: tuple[JudgedProgram, ...]
    num_programs: int
    """Programs sampled, those included that the judge could not judge."""
    num_verdicts: int
    """Distinct programs judged."""
    num_tokens: int
    num_faults: int
    """Programs that the judge could not judge; they are left out."""
    seconds: float
    """Wall time of sampling and judging."""

    @property
    def outcomes(self) -> Counter[str]:
        """Samples of each outcome."""
        return Counter(one.outcome.name.lower() for one in self.programs if not one.reference)


def sample_programs(
    policy: HuggingFacePolicy,
    judge: Judge,
    tasks: Sequence[Task],
    *,
    num_samples: int,
    sampling: Sampling,
    seed: int,
    prompts: PromptOptions,
    progress: Callable[[int], None] | None = None,
) -> JudgedBlock:
    """`num_samples` programs of each task with their outcomes, and the task's reference, where it has one, as PASSED."""
    collection = collect(
        policy,
        judge,
        tasks,
        num_samples=num_samples,
        sampling=sampling,
        seed=seed,
        prompts=prompts,
        progress=progress,
    )
    sampled = [
        JudgedProgram(
            task_id=group.task.id,
            completion=rollout.completion,
            program=rollout.program,
            outcome=outcome_class(rollout.report.verdict),
            reference=False,
        )
        for group in collection.groups
        for rollout in group.rollouts
    ]
    references = [judged_reference(task, policy, prompts) for task in tasks if task.reference is not None]
    return JudgedBlock(
        programs=(*sampled, *references),
        num_programs=collection.num_programs,
        num_verdicts=collection.num_verdicts,
        num_tokens=collection.num_tokens,
        num_faults=collection.num_judge_errors,
        seconds=collection.seconds_generate + collection.seconds_judge,
    )


def judged_reference(task: Task, policy: HuggingFacePolicy, prompts: PromptOptions) -> JudgedProgram:
    """The reference as if the policy had written it: its last line is ended, by a closing fence where one is open."""
    answer = reference_answer(task, policy, prompts)
    ending = "\n```" if answer.prompt.fenced else "\n"
    completion = encode_answer(policy.tokenizer, answer.prompt, answer.continuation + ending)
    return JudgedProgram(
        task_id=task.id,
        completion=completion,
        program=extract_program(answer.prompt, completion.text),
        outcome=OutcomeClass.PASSED,
        reference=True,
    )
