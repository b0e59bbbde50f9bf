"""`linewise eval`: unbiased pass@k of a policy on a set of tasks."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from linewise.cli.eval_critic import (
    CriticSamplingArguments,
    check_critic_sampling,
    print_critic_sampling,
    run_critic_sampling,
    summary_of_critic_sampling,
)
from linewise.cli.models import device, load_named_policy
from linewise.errors import StorageError, TaskError, UserError
from linewise.evaluation.evaluate import Evaluation, evaluate
from linewise.evaluation.rerank import reranking
from linewise.prm.rank import LineAggregation, PrmRanker
from linewise.rollout.prompts import PromptOptions, PromptStyle
from linewise.tasks import load_tasks, unique_tasks
from linewise.tasks.check import stub_source
from linewise.training.seeds import subset
from linewise.types import Policy, Sampling, Task

DEFAULT_SPLITS = {"starter": "heldout", "starter-hard": "heldout", "arena": "heldout"}
"""Sets of which only this split is evaluated unless a split is named: the rest is for training."""


@dataclass(frozen=True, kw_only=True)
class EvalArguments:
    """Unbiased pass@k with 95 % bootstrap intervals over tasks.

    Examples:
      linewise eval --policy smollm2-135m --tasks starter --num-samples 8 --k 1 8
      linewise eval --policy runs/first/policy --tasks mbpp@test --temperature 0.6 --out after.json
      linewise eval --policy smollm2-135m --tasks starter --num-samples 8 --k 1 8 --rerank runs/prm/prm
      linewise eval --policy smollm2-135m --tasks starter --num-samples 8 --strategy critic-sampling --critic runs/critic/critic
      linewise eval --policy reference --tasks humaneval      (must be 1.000: checks tasks and judge without a model)
    """

    policy: str
    """Embedded model, folder, hub id; or `reference` (each task's own) or `stub` (returns None)."""
    tasks: tuple[str, ...]
    """Task sets, NAME[@SPLIT][:PATH]; `starter` and `arena` mean their held-out split."""
    num_samples: int = 1
    """Programs sampled for each task."""
    k: tuple[int, ...] = (1,)
    """Values of k; none may exceed num-samples."""
    temperature: float = 0.6
    """0 is greedy."""
    top_p: float = 1.0
    max_new_tokens: int = 256
    prompts: PromptOptions = PromptOptions()
    """How a task becomes a prompt."""
    limit: int | None = None
    """Only this many tasks, drawn by the seed."""
    seed: int = 0
    workers: int | None = None
    """Programs judged at the same time; none means one per core."""
    by_family: bool = False
    """Also a row for each family of tasks."""
    rerank: Path | None = None
    """A trained process reward model (`linewise prm train`): also the pass rate of the program it ranks best."""
    rerank_by: LineAggregation = LineAggregation.MEAN
    """How the scores of a program's lines of code become one number."""
    search: Annotated[CriticSamplingArguments, tyro.conf.arg(name="")] = CriticSamplingArguments()
    json: bool = False
    """Print one JSON object on standard output instead of a table."""
    out: Path | None = None
    """Also write the whole evaluation, task by task, to this file."""


def main(arguments: list[str]) -> int:
    """Run the command. Returns 0."""
    settings = tyro.cli(EvalArguments, prog="linewise eval", args=arguments, config=(tyro.conf.EnumChoicesFromValues,))
    check(settings)
    tasks = subset(load(settings.tasks), settings.limit, settings.seed)
    if settings.search.strategy == "critic-sampling":
        searched = run_critic_sampling(
            settings.search,
            make_policy(settings, tasks),
            tasks,
            num_samples=settings.num_samples,
            sampling=sampling_of(settings),
            prompts=settings.prompts,
            seed=settings.seed,
            workers=settings.workers,
            name=settings.policy,
        )
        write(settings, searched.final)
        if settings.json:
            print(json.dumps(summary_of_critic_sampling(searched, settings.k)))
        else:
            print_critic_sampling(searched, settings.k)
        return 0
    evaluation = run(settings, tasks)
    write(settings, evaluation)
    if settings.json:
        print(json.dumps(summary(evaluation, settings.k)))
    else:
        print_table(evaluation, settings)
    return 0


def write(settings: EvalArguments, evaluation: Evaluation) -> None:
    """Write the evaluation where --out asks for it. Raises StorageError."""
    if settings.out is not None:
        try:
            settings.out.write_text(evaluation.to_json())
        except OSError as error:
            raise StorageError(f"could not write {settings.out}: {error.strerror}. Choose another --out.") from error


def check(settings: EvalArguments) -> None:
    """Raises UserError for settings that could only fail after the sampling."""
    if not settings.tasks:
        raise UserError("--tasks names no task set: give at least one, such as --tasks starter.")
    if not settings.k or min(settings.k) < 1:
        raise UserError(f"--k is {' '.join(map(str, settings.k)) or 'empty'}: give one or more numbers from 1 on.")
    if max(settings.k) > settings.num_samples:
        raise UserError(
            f"--k {max(settings.k)} needs at least as many samples and --num-samples is {settings.num_samples}: "
            f"give --num-samples {max(settings.k)} or more."
        )
    if settings.limit is not None and settings.limit < 1:
        raise UserError(f"--limit is {settings.limit}: give a number from 1 on, or leave it out for all tasks.")
    if settings.rerank is not None and (settings.num_samples < 2 or settings.policy in ANSWERS):
        raise UserError(
            f"--rerank chooses among samples of a model: give --num-samples 2 or more (it is {settings.num_samples}) and a "
            f"--policy that samples (it is {settings.policy})."
        )
    check_critic_sampling(settings.search, samples=settings.policy not in ANSWERS, reranked=settings.rerank is not None)
    if settings.out is not None and not settings.out.parent.is_dir():
        raise UserError(f"--out {settings.out} lies in no folder that exists: make {settings.out.parent} first.")


def load(specs: Sequence[str]) -> list[Task]:
    """The tasks of the sets, with the default split where there is one."""
    named = [f"{spec}@{DEFAULT_SPLITS[spec]}" if spec in DEFAULT_SPLITS else spec for spec in specs]
    return unique_tasks(task for spec in named for task in load_tasks(spec))


def run(settings: EvalArguments, tasks: Sequence[Task]) -> Evaluation:
    """Sample and judge with a progress bar on standard error."""
    from linewise.judge import LocalJudge

    policy = make_policy(settings, tasks)
    ranker = None if settings.rerank is None else make_ranker(settings.rerank, settings.rerank_by, policy)
    # A scripted answer is a whole program, so its prompt must hold no part of one.
    prompts = PromptOptions(style=PromptStyle.BARE) if settings.policy in ANSWERS else settings.prompts
    sampling = sampling_of(settings)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with LocalJudge(workers=settings.workers) as judge, Progress(*columns, console=Console(stderr=True)) as progress:
        bar = progress.add_task("sampling", total=len(tasks) * settings.num_samples)
        return evaluate(
            policy,
            tasks,
            judge,
            num_samples=settings.num_samples,
            sampling=sampling,
            seed=settings.seed,
            prompts=prompts,
            name=settings.policy,
            progress=lambda count: progress.advance(bar, count),
            ranker=ranker,
        )


def sampling_of(settings: EvalArguments) -> Sampling:
    """How tokens are drawn; a scripted answer is never cut."""
    longest = 1 << 20 if settings.policy in ANSWERS else settings.max_new_tokens
    return Sampling(temperature=settings.temperature, top_p=settings.top_p, max_new_tokens=longest)


def make_policy(settings: EvalArguments, tasks: Sequence[Task]) -> Policy:
    """The policy that the settings name. Raises TaskError where `reference` meets a task without one."""
    if settings.policy in ANSWERS:
        for task in tasks:  # a missing reference is said before the first sample
            ANSWERS[settings.policy](task)
        from linewise.policy.scripted import ScriptedPolicy

        by_id = {task.id: task for task in tasks}
        answer = ANSWERS[settings.policy]
        return ScriptedPolicy(answers=lambda prompt: [answer(by_id[prompt.task_id])])
    return load_named_policy(settings.policy)


def make_ranker(folder: Path, aggregation: LineAggregation, policy: Policy) -> PrmRanker:
    """The process reward model in a folder, for the tokens of this policy. Raises PolicyError where it cannot read them."""
    from linewise.policy.huggingface import HuggingFacePolicy
    from linewise.prm.score import load_scorer

    scorer = load_scorer(folder, device=device())
    assert isinstance(policy, HuggingFacePolicy), "only a sampled program can be ranked"
    scorer.check_tokenizer(policy.tokenizer)
    return PrmRanker(scorer=scorer, aggregation=aggregation)


def answer_reference(task: Task) -> str:
    """The task's own reference."""
    if task.reference is None:
        raise TaskError(f"the task '{task.id}' has no reference, so --policy reference has no answer for it.")
    return task.reference


def answer_stub(task: Task) -> str:
    """A function of the right name that returns None; for a script, a program that does nothing."""
    return "pass\n" if task.entry_point is None else stub_source(task.entry_point, "None")


ANSWERS: Mapping[str, Callable[[Task], str]] = {"reference": answer_reference, "stub": answer_stub}
"""Policies that need no model: name -> whole program."""


def summary(evaluation: Evaluation, ks: Sequence[int]) -> dict[str, object]:
    """What --json prints: estimates, verdict counts, cost; `pass_at_k` maps k to mean, low, high, num_tasks, confidence."""
    reranked = {} if evaluation.results[0].picked is None else {"rerank": asdict(reranking(evaluation))}
    return {
        "policy": evaluation.policy,
        "num_tasks": len(evaluation.results),
        "num_samples": evaluation.num_samples,
        "pass_at_k": {str(k): asdict(evaluation.pass_at_k(k)) for k in ks},
        "verdicts": dict(evaluation.verdicts),
        "num_judge_errors": evaluation.num_judge_errors,
        "num_tokens": evaluation.num_tokens,
        "seconds_generate": evaluation.seconds_generate,
        "seconds_judge": evaluation.seconds_judge,
        **reranked,
    }


def print_table(evaluation: Evaluation, settings: EvalArguments) -> None:
    """The estimates as a table, with what they cost."""
    console = Console()
    table = Table("tasks", *(f"pass@{k} [95 % interval]" for k in settings.k))
    if settings.by_family:
        columns = [evaluation.by_family(k) for k in settings.k]
        for family in columns[0]:
            table.add_row(family or "(no family)", *(str(column[family]) for column in columns))
    table.add_row(f"all {len(evaluation.results)}", *(str(evaluation.pass_at_k(k)) for k in settings.k), style="bold")
    console.print(table)
    if settings.rerank is not None:
        print_reranking(evaluation, settings, console)
    verdicts = ", ".join(f"{count} {name}" for name, count in evaluation.verdicts.most_common())
    seconds = evaluation.seconds_generate
    speed = f", {evaluation.num_tokens / seconds:.0f} tokens/s" if seconds > 0 else ""
    console.print(
        f"{verdicts}; {evaluation.num_tokens} tokens{speed}; {evaluation.num_judge_errors} faults of the judge"
    )


def print_reranking(evaluation: Evaluation, settings: EvalArguments, console: Console) -> None:
    """How far the process reward model gets from a random program towards the best of N."""
    result = reranking(evaluation)
    count = settings.num_samples
    table = Table("choice of one program", "pass rate [95 % interval]")
    table.add_row("at random (pass@1)", str(result.first))
    table.add_row(f"ranked best of {count} ({settings.rerank_by} of its lines)", str(result.picked), style="bold")
    table.add_row(f"by an oracle (pass@{count})", str(result.any))
    table.add_row("gain over random, paired", str(result.gain))
    console.print(table)
