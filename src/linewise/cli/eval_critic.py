"""`linewise eval --strategy critic-sampling`: its settings, what it runs and what it prints."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from linewise.cli.models import device, load_named_policy
from linewise.errors import UserError
from linewise.evaluation.critic_evaluation import CriticEvaluation, evaluate_critic_sampling
from linewise.evaluation.critic_sampling import Cost, CriticSampler, CriticSamplingOptions
from linewise.evaluation.evaluate import Evaluation, paired_difference
from linewise.rollout.prompts import PromptOptions
from linewise.types import Policy, Sampling, Task


@dataclass(frozen=True, kw_only=True)
class CriticSamplingArguments:
    """How programs are searched for."""

    strategy: Literal["plain", "critic-sampling"] = "plain"
    """plain: N independent samples. critic-sampling: CodeRL's repair and refinement by example tests and a critic."""
    critic: Path | None = None
    """For critic-sampling: the folder that `linewise coderl critic` wrote."""
    repair_model: str | None = None
    """For critic-sampling: the model that rewrites failed programs; none means the policy. It must have the policy's tokens."""
    rounds: int = 1
    """For critic-sampling: rounds of repair and refinement."""
    num_repaired: int = 1
    """For critic-sampling: failed programs of a task that go to the repair model, where none passes the examples."""
    compare: bool = True
    """For critic-sampling: also draw as many plain programs, for a comparison at the same budget."""


def check_critic_sampling(arguments: CriticSamplingArguments, *, samples: bool, reranked: bool) -> None:
    """Raises UserError for settings that do not go together."""
    if arguments.strategy == "plain":
        if arguments.critic is not None or arguments.repair_model is not None:
            raise UserError("--critic and --repair-model belong to critic sampling: add --strategy critic-sampling.")
        return
    if arguments.critic is None:
        raise UserError(
            "--strategy critic-sampling needs --critic FOLDER; train one with `linewise coderl critic`, which writes "
            "OUT/critic."
        )
    if not samples or reranked:
        raise UserError(
            "--strategy critic-sampling needs a --policy that samples and goes without --rerank: its programs are chosen "
            "by tests and critic."
        )
    options_of(arguments)


def options_of(arguments: CriticSamplingArguments) -> CriticSamplingOptions:
    """The library's options. Raises UserError for numbers that it refuses."""
    try:
        return CriticSamplingOptions(rounds=arguments.rounds, num_repaired=arguments.num_repaired)
    except ValueError as error:
        raise UserError(str(error)) from error


def run_critic_sampling(
    arguments: CriticSamplingArguments,
    policy: Policy,
    tasks: Sequence[Task],
    *,
    num_samples: int,
    sampling: Sampling,
    prompts: PromptOptions,
    seed: int,
    workers: int | None,
    name: str,
) -> CriticEvaluation:
    """Draw and judge with a bar for each stage on standard error."""
    from linewise.judge import LocalJudge
    from linewise.policy.huggingface import HuggingFacePolicy
    from linewise.values.score import load_outcome_scorer

    assert isinstance(policy, HuggingFacePolicy), "checked: the policy samples"
    assert arguments.critic is not None, "checked: a critic is named"
    critic = load_outcome_scorer(arguments.critic, device=device())
    critic.check_tokenizer(policy.tokenizer)
    repair_policy = None
    if arguments.repair_model is not None:
        repair_policy = load_named_policy(arguments.repair_model)
        critic.check_tokenizer(repair_policy.tokenizer)
    columns = (TextColumn("{task.description:<16}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with LocalJudge(workers=workers) as judge, Progress(*columns, console=Console(stderr=True)) as progress:

        def watch(stage: str, total: int) -> Callable[[int], None]:
            bar = progress.add_task(stage, total=total)
            return lambda count: progress.advance(bar, count)

        sampler = CriticSampler(
            policy=policy,
            critic=critic,
            judge=judge,
            num_samples=num_samples,
            sampling=sampling,
            prompts=prompts,
            options=options_of(arguments),
            repair_policy=repair_policy,
            watch=watch,
        )
        return evaluate_critic_sampling(sampler, tasks, judge, seed=seed, name=name, compare=arguments.compare)


@dataclass(frozen=True, kw_only=True)
class Row:
    """One way to get programs."""

    name: str
    evaluation: Evaluation
    cost: Cost


def rows_of(result: CriticEvaluation) -> list[Row]:
    """What is measured, in the order of the table."""
    rows = [Row(name="plain sampling", evaluation=result.plain, cost=result.plain_cost)]
    if result.kept is not None:
        name = f"{result.kept.num_samples} of them, by the examples"
        rows.append(Row(name=name, evaluation=result.kept, cost=result.plain_cost))
    return [*rows, Row(name="critic sampling", evaluation=result.final, cost=result.cost)]


def summary_of_critic_sampling(result: CriticEvaluation, ks: Sequence[int]) -> dict[str, object]:
    """What --json prints: estimates and cost of each row, and what the search did."""
    final = result.final
    return {
        "policy": final.policy,
        "num_tasks": len(final.results),
        "num_samples": final.num_samples,
        "strategies": {
            row.name: {"pass_at_k": {str(k): asdict(row.evaluation.pass_at_k(k)) for k in ks}, **asdict(row.cost)}
            for row in rows_of(result)
        },
        "gain": {str(k): asdict(paired_difference(result.kept or result.plain, final, k)) for k in ks},
        "mean_kept": result.mean_kept,
        "num_repairs": result.num_repairs,
        "num_without_examples": result.num_without_examples,
        "num_without_hidden": result.num_without_hidden,
        "num_judge_errors": final.num_judge_errors,
    }


def print_critic_sampling(result: CriticEvaluation, ks: Sequence[int]) -> None:
    """The estimates beside those of plain sampling, with what each costs."""
    console = Console()
    rows = rows_of(result)
    table = Table("programs", *(f"pass@{k} [95 % interval]" for k in ks))
    for row in rows:
        table.add_row(row.name, *(str(row.evaluation.pass_at_k(k)) for k in ks))
    console.print(table)
    table = Table("cost", "programs", "tokens", "example runs")
    for row in rows:
        table.add_row(row.name, *map(str, (row.cost.num_programs, row.cost.num_tokens, row.cost.num_verdicts)))
    console.print(table)
    against = "plain sampling" if result.kept is None else "the choice by the examples"
    for k in ks:
        gain = paired_difference(result.kept or result.plain, result.final, k)
        console.print(f"pass@{k}, gain over {against}, paired: {gain}", highlight=False)
    kept = (
        "no program was refined"
        if result.mean_kept is None
        else f"{result.mean_kept:.0%} of a program kept in refining"
    )
    console.print(
        f"{len(result.final.results)} tasks, {result.num_repairs} repaired; {kept}; {result.cost.num_scored} programs read "
        f"by the critic; {result.final.num_judge_errors} faults of the judge",
        highlight=False,
    )
    if result.num_without_examples:
        console.print(
            f"{result.num_without_examples} tasks have no example test and keep their plain samples.", highlight=False
        )
    if result.num_without_hidden:
        console.print(
            f"{result.num_without_hidden} tasks have no hidden test: there the tests that measure are those that choose.",
            highlight=False,
        )
