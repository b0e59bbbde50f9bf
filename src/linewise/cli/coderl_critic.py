"""`linewise coderl critic`: an outcome critic from a policy's own programs."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import tyro
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from linewise.cli.models import load_named_policy
from linewise.cli.pretrain import ensure_policy
from linewise.cli.quiet import quiet_libraries
from linewise.cli.resume import chosen_folder, folder_to_resume
from linewise.errors import RunError, StorageError, UserError
from linewise.prm.journal import Journal
from linewise.rollout.prompts import PromptOptions
from linewise.tasks import load_tasks, unique_tasks
from linewise.training.fit_state import finished_file
from linewise.training.outcome_metrics import OutcomeMetrics
from linewise.training.outcome_options import OutcomeTrainOptions
from linewise.training.records import check_same, decode
from linewise.training.run_folder import RunFolder, write_text
from linewise.training.seeds import subset
from linewise.types import Sampling, Task
from linewise.values.classes import OutcomeClass
from linewise.values.programs import JudgedProgram, judged_to_record, read_judged

SETTINGS = "settings.json"
"""What the command was started with, from before the sampling on."""
PROGRAMS = "programs.jsonl"
"""The judged programs."""
FREE_TO_CHANGE = ("workers",)
"""Settings that may differ on resuming: they change no number."""
TASKS_AT_ONCE = 16
"""Tasks whose programs are sampled together, and lost together where a run is killed."""


@dataclass(frozen=True, kw_only=True)
class CriticArguments:
    """Train CodeRL's outcome critic: compile error, runtime error, failed or passed, from max-pooled token logits.

    Programs are sampled from the policy and judged into OUT/programs.jsonl, with the tasks' references as passed; then
    the critic is trained. The weights with the best held-out loss are in OUT/critic, an
    `AutoModelForTokenClassification` with four labels. What was interrupted or killed goes on with --resume: the sampling
    after its last 16 tasks, the training from the checkpoint of its last held-out measurement.

    Examples:
      linewise coderl critic --policy smollm2-135m --tasks starter@train --out runs/critic
      linewise coderl critic --resume runs/critic
      linewise coderl critic --policy smollm2-135m --programs runs/critic/programs.jsonl --epochs 4 --out runs/critic-4
    """

    policy: str
    """Whose programs the critic reads: embedded model, folder or hub id."""
    tasks: tuple[str, ...] = ()
    """Task sets, NAME[@SPLIT][:PATH]; use training splits, for the critic is trained on them."""
    programs: Path | None = None
    """The programs.jsonl of an earlier run of the same policy, instead of sampling."""
    out: Path | None = None
    """Folder of the new critic."""
    resume: Path | None = None
    """Folder of a critic to go on with, with the settings it was started with."""
    num_samples: int = 20
    """Programs sampled for each task (the paper: about 20)."""
    temperature: float = 1.0
    """0 is greedy."""
    top_p: float = 1.0
    max_new_tokens: int = 256
    prompts: PromptOptions = PromptOptions()
    """How a task becomes a prompt; critic sampling must use the same."""
    limit: int | None = None
    """Only this many tasks, drawn by the seed."""
    workers: int | None = None
    """Programs judged at the same time; none means one per core."""
    options: Annotated[OutcomeTrainOptions, tyro.conf.arg(name="")] = OutcomeTrainOptions()


def main(arguments: list[str]) -> int:
    """Run the command. Returns 0; Ctrl-C gives 130 after writing a checkpoint, or the programs of the last whole tasks."""
    settings = parse(arguments)
    out = chosen_folder(settings.out, settings.resume)
    check(settings, out)
    # Imported here, so that --help and errors in settings need no torch.
    from linewise.training.outcome import train_outcome_critic

    quiet_libraries()
    console = Console()
    folder = RunFolder(path=out)
    if finished_file(folder).exists():
        programs = []
        console.print(f"the critic in {out} is finished: nothing is left to do.", highlight=False, soft_wrap=True)
    else:
        ensure_policy(settings.policy)
        remember(settings, out)
        programs = sampled_programs(settings, out) if settings.programs is None else read_judged(settings.programs)
        print_outcomes(programs, console)
    resume = folder.config.exists()
    result = train_outcome_critic(
        settings.options, programs, out, policy=settings.policy, resume=resume, console=console
    )
    print_metrics(result.metrics, console)
    console.print(f"best of {result.num_steps} updates: {result.best_step}", highlight=False)
    console.print(f"critic: {result.folder}", highlight=False, soft_wrap=True)
    return 0


def parse(arguments: list[str]) -> CriticArguments:
    """The command line's settings; those of a critic to be resumed are what it was started with.

    Raises RunError where the folder to resume holds no critic, or where a setting is given anew.
    """
    resume = folder_to_resume(arguments)
    saved = None if resume is None else saved_settings(resume)
    settings = tyro.cli(
        CriticArguments,
        prog="linewise coderl critic",
        default=tyro.MISSING_NONPROP if saved is None else replace(saved, resume=resume),
        args=arguments,
        config=(tyro.conf.EnumChoicesFromValues,),
    )
    if resume is not None and saved is not None:
        check_same(resume, flat(saved), flat(settings), free=FREE_TO_CHANGE)
    return settings


def saved_settings(folder: Path) -> CriticArguments:
    """What a critic was started with. Raises RunError where the folder holds none."""
    file = folder / SETTINGS
    if not file.exists():
        raise RunError(
            f"{folder} holds no critic to go on with: there is no {SETTINGS}. Start one with --out {folder}."
        )
    settings: CriticArguments = decode(CriticArguments, json.loads(file.read_text()))
    return settings


def to_record(settings: CriticArguments) -> dict[str, Any]:
    """JSON form of all but the folder."""
    record: dict[str, Any] = json.loads(json.dumps(asdict(settings), default=str))
    return {name: value for name, value in record.items() if name not in ("out", "resume")}


def flat(settings: CriticArguments) -> dict[str, Any]:
    """The record with the training's settings beside the others, so that an error can name one."""
    record = to_record(settings)
    options: dict[str, Any] = record.pop("options")
    return record | options


def remember(settings: CriticArguments, out: Path) -> None:
    """Put the settings into the folder, from which --resume takes them.

    Raises RunError where the folder holds programs or a critic of others, StorageError where it cannot be written.
    """
    programs, config = out / PROGRAMS, RunFolder(path=out).config
    is_begun = config.exists() or (programs.exists() and programs.stat().st_size > 0)
    if is_begun and (out / SETTINGS).exists():
        check_same(out, flat(saved_settings(out)), flat(settings), free=FREE_TO_CHANGE)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"could not make {out}: {error.strerror}. Choose another --out.") from error
    write_text(out / SETTINGS, json.dumps(to_record(settings), indent=1))


def print_outcomes(programs: Sequence[JudgedProgram], console: Console) -> None:
    """What became of the samples."""
    counts = Counter(one.outcome for one in programs if not one.reference)
    told = ", ".join(f"{counts[outcome]} {outcome.words}" for outcome in OutcomeClass)
    console.print(f"samples: {told}; {sum(one.reference for one in programs)} references", highlight=False)


def check(settings: CriticArguments, out: Path) -> None:
    """Raises UserError for settings that could only fail after the sampling."""
    if bool(settings.tasks) == (settings.programs is not None):
        raise UserError(
            "give either --tasks, to sample programs for, or --programs, a file of programs sampled before."
        )
    for name, value in {"--num-samples": settings.num_samples, "--limit": settings.limit}.items():
        if value is not None and value < 1:
            raise UserError(f"{name} is {value}: give a number from 1 on.")
    if settings.resume is not None:
        return
    if RunFolder(path=out).config.exists():
        raise UserError(
            f"{out} holds a critic already: go on with it with --resume {out}, or give another --out; --programs "
            f"{settings.programs or out / PROGRAMS} trains anew from the same programs."
        )
    RunFolder(path=out).check_free()


def sampled_programs(settings: CriticArguments, out: Path) -> list[JudgedProgram]:
    """The programs of all tasks, those from before an interruption included, with a progress bar on standard error."""
    tasks = subset(
        unique_tasks(task for spec in settings.tasks for task in load_tasks(spec)),
        settings.limit,
        settings.options.seed,
    )
    file = out / PROGRAMS
    with Journal(file, fingerprint(settings)) as journal:
        done = len(journal.blocks) * TASKS_AT_ONCE
        if done < len(tasks):
            sample(settings, tasks, journal)
    return read_judged(file)


def fingerprint(settings: CriticArguments) -> dict[str, Any]:
    """What the programs depend on; a resumed run must have the same."""
    record = asdict(settings)
    kept = ("policy", "tasks", "num_samples", "temperature", "top_p", "max_new_tokens", "prompts", "limit")
    return {name: record[name] for name in kept} | {"seed": settings.options.seed}


def sample(settings: CriticArguments, tasks: Sequence[Task], journal: Journal) -> None:
    """Sample and judge what the journal does not hold yet."""
    from linewise.judge import LocalJudge
    from linewise.training.outcome_programs import sample_programs

    policy = load_named_policy(settings.policy)
    sampling = Sampling(temperature=settings.temperature, top_p=settings.top_p, max_new_tokens=settings.max_new_tokens)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with (
        LocalJudge(workers=settings.workers) as judge,
        Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True)) as progress,
    ):
        first = len(journal.blocks) * TASKS_AT_ONCE
        bar = progress.add_task(
            "sampling", total=len(tasks) * settings.num_samples, completed=first * settings.num_samples
        )
        for begin in range(first, len(tasks), TASKS_AT_ONCE):
            block = sample_programs(
                policy,
                judge,
                tasks[begin : begin + TASKS_AT_ONCE],
                num_samples=settings.num_samples,
                sampling=sampling,
                seed=settings.options.seed + begin,
                prompts=settings.prompts,
                progress=lambda count: progress.advance(bar, count),
            )
            tally: Mapping[str, Any] = {
                "outcomes": dict(block.outcomes),
                "num_tokens": block.num_tokens,
                "num_faults": block.num_faults,
            }
            journal.finish_block(map(judged_to_record, block.programs), tally)


def print_metrics(metrics: OutcomeMetrics, console: Console) -> None:
    """Held-out quality, each number beside what it must beat, and what is taken for what."""
    table = Table("held-out samples", "critic", "to beat")
    table.add_row("loss (nats)", f"{metrics.loss:.3f}", f"{metrics.loss_of_shares:.3f}")
    table.add_row("accuracy", f"{metrics.accuracy:.3f}", f"{metrics.majority_accuracy:.3f}")
    table.add_row("AUC passed against not", f"{metrics.auc:.3f}", "0.500")
    console.print(table)
    table = Table("true \\ said", *(outcome.words for outcome in OutcomeClass), "accuracy")
    for outcome, row, share in zip(OutcomeClass, metrics.confusion, metrics.accuracy_of_class, strict=True):
        table.add_row(outcome.words, *map(str, row), f"{share:.3f}" if sum(row) else "none held out")
    console.print(table)
