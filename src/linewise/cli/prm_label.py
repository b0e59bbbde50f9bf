"""`linewise prm label`: the lines of a policy's own programs, labelled by completing their beginnings."""

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import tyro
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from linewise.cli.models import load_named_policy
from linewise.errors import UserError
from linewise.prm.allowance import Allowance
from linewise.prm.completer import Watch
from linewise.prm.journal import Journal
from linewise.prm.label import LabelOptions, label_block
from linewise.prm.labels import Selection, label_to_record
from linewise.prm.tally import Tally
from linewise.rollout.prompts import PromptOptions
from linewise.tasks import load_tasks, unique_tasks
from linewise.training.seeds import stream, subset
from linewise.types import Policy, Sampling, Task

Block = tuple[str, Sequence[Task], Allowance]
"""A policy, tasks whose programs of it are labelled together, and what that may cost."""


@dataclass(frozen=True, kw_only=True)
class Label:
    """Label the lines of a policy's own programs: +1 recoverable, -1 not, 0 neutral (blank, comment, docstring).

    A line is recoverable if any of K completions of the program up to it passes all tests. Failing programs are searched
    by bisection, all side by side; passing ones need no search. The paper labels programs of four evenly spaced
    checkpoints of a run of reinforcement learning, so name several policies.

    Run the same command again to go on after an interruption; the file becomes the same as without one.

    Examples:
      linewise prm label --policy smollm2-135m --tasks starter@train --out labels.jsonl
      linewise prm label --policy runs/rl/policy smollm2-135m --tasks mbpp@train --out labels.jsonl --limit 100
      linewise prm label --policy arena --tasks arena@train --out labels.jsonl --max-programs 4096
    """

    policy: tuple[str, ...]
    """Embedded models, folders or hub ids; each labels programs of its own."""
    tasks: tuple[str, ...]
    """Task sets, NAME[@SPLIT][:PATH]; use training splits, for the reward model is trained on them."""
    out: Path
    """JSONL file of labelled programs; OUT.progress beside it is what a resumed run goes on from."""
    num_samples: int = 8
    """Programs sampled for each task."""
    completions: int = 20
    """K, completions of each prefix."""
    first_chunk: int = 5
    """Completions drawn first, the rest only where none of them passes; K draws all at once."""
    selection: Selection = Selection.REVISED_ONLY
    """Programs that are kept. Difficulty is the pass rate of the task's samples: hard is 0, medium is between 0 and 1."""
    audits: int = 2
    """Prefixes of each failing program tested a second time, to measure contradictions; 0 for none."""
    temperature: float = 1.0
    """Of programs and completions; must be above 0, or all completions of a prefix would be one."""
    top_p: float = 1.0
    max_new_tokens: int = 256
    """Of a program, and again of each completion; prompt, program and completion must fit the model."""
    prompts: PromptOptions = PromptOptions()
    """How a task becomes a prompt."""
    limit: int | None = None
    """Only this many tasks, drawn by the seed."""
    max_programs: int | None = None
    """Budget: most programs and completions sampled in all. Policies get equal parts of it, and each its tasks in an order
    drawn by the seed, as far as its part goes. It is never exceeded: a search that it does not pay for is given up."""
    max_tokens: int | None = None
    """Budget: most tokens sampled in all, in the same way."""
    seed: int = 0
    tasks_at_once: int = 32
    """Tasks whose programs are sampled and searched together; fewer where a budget pays for fewer."""
    workers: int | None = None
    """Programs judged at the same time; none means one per core."""


def main(arguments: list[str]) -> int:
    """Run the command. Returns 0."""
    execute(tyro.cli(Label, prog="linewise prm label", args=arguments, config=(tyro.conf.EnumChoicesFromValues,)))
    return 0


def execute(command: Label) -> None:
    """Label what is not labelled yet, and print what it came to. Raises UserError for settings that cannot work."""
    check(command)
    tasks = subset(
        unique_tasks(task for spec in command.tasks for task in load_tasks(spec)), command.limit, command.seed
    )
    budgeted = command.max_programs is not None or command.max_tokens is not None
    num_blocks = None if budgeted else len(command.policy) * -(-len(tasks) // command.tasks_at_once)
    with Journal(command.out, fingerprint(command)) as journal, _bars(num_blocks, len(journal.blocks)) as bars:
        run(command, tasks, journal, *bars)
        total = Tally.total(journal.blocks)
    print_summary(total, command)


def check(command: Label) -> None:
    """Raises UserError for settings that could only fail late, or silently."""
    if not command.policy or not command.tasks:
        raise UserError(
            "--policy and --tasks need at least one name each, such as --policy smollm2-135m --tasks starter."
        )
    if len(set(command.policy)) < len(command.policy):
        raise UserError("--policy names a policy twice: its programs would be the same ones; name each once.")
    least = {
        "--num-samples": (command.num_samples, 1),
        "--completions": (command.completions, 1),
        "--first-chunk": (command.first_chunk, 1),
        "--max-new-tokens": (command.max_new_tokens, 1),
        "--tasks-at-once": (command.tasks_at_once, 1),
        "--limit": (1 if command.limit is None else command.limit, 1),
        "--max-programs": (1 if command.max_programs is None else command.max_programs, 1),
        "--max-tokens": (1 if command.max_tokens is None else command.max_tokens, 1),
        "--audits": (command.audits, 0),
        "--seed": (command.seed, 0),
    }
    for name, (value, minimum) in least.items():
        if value < minimum:
            raise UserError(f"{name} is {value}: give a number from {minimum} on.")
    if command.temperature <= 0 and command.completions > 1:
        raise UserError(
            f"--temperature is {command.temperature}: all {command.completions} completions of a prefix would be the same; "
            "give a temperature above 0."
        )
    if not command.out.parent.is_dir():
        raise UserError(f"--out {command.out} lies in no folder that exists: make {command.out.parent} first.")


def fingerprint(command: Label) -> dict[str, Any]:
    """What the contents of the file depend on; a resumed run must have the same."""
    free = ("out", "workers")
    return {name: value for name, value in asdict(command).items() if name not in free}


def command_of(options: LabelOptions, **settings: Any) -> Label:
    """The command that labels with these options of the library; its other settings by name."""
    return Label(
        num_samples=options.num_samples,
        completions=options.num_completions,
        first_chunk=options.first_chunk,
        audits=options.audits,
        selection=options.selection,
        temperature=options.sampling.temperature,
        top_p=options.sampling.top_p,
        max_new_tokens=options.sampling.max_new_tokens,
        prompts=options.prompts,
        seed=options.seed,
        **settings,
    )


def options_of(command: Label) -> LabelOptions:
    """The options of the library behind the command's."""
    return LabelOptions(
        num_samples=command.num_samples,
        num_completions=command.completions,
        first_chunk=command.first_chunk,
        audits=command.audits,
        selection=command.selection,
        sampling=Sampling(temperature=command.temperature, top_p=command.top_p, max_new_tokens=command.max_new_tokens),
        prompts=command.prompts,
        seed=command.seed,
    )


def run(
    command: Label, tasks: Sequence[Task], journal: Journal, watch: Watch, advance: Callable[[], None] = lambda: None
) -> None:
    """Label what the journal does not hold yet, policy by policy; `advance` is called after each block."""
    from linewise.judge import LocalJudge

    loaded: dict[str, Policy] = {}
    blocks = blocks_of(command, tasks)
    block = next(blocks, None)
    for record in journal.blocks:
        block = following(blocks, Tally(**record))
    with LocalJudge(workers=command.workers) as judge:
        while block is not None:
            name, ours, allowance = block
            if name not in loaded:
                loaded = {name: load_named_policy(name)}
            labelled = label_block(
                loaded[name],
                judge,
                ours,
                options_of(command),
                name=name,
                allowance=allowance,
                step=journal.step,
                watch=watch,
            )
            journal.finish_block(map(label_to_record, labelled.programs), labelled.tally.to_record())
            advance()
            block = following(blocks, labelled.tally)


def blocks_of(command: Label, tasks: Sequence[Task]) -> Generator[Block, Tally, None]:
    """The blocks, each after the tally of the one before was sent: what that cost decides what the next one may.

    A block is begun where its allowance pays for its programs and one query of each, so that few searches are given up.
    """
    budget = Allowance(programs=command.max_programs, tokens=command.max_tokens)
    options, spent = options_of(command), Tally()
    for index, name in enumerate(command.policy):
        ours, done = ordered(command, tasks, index), 0
        while True:
            allowance = budget.part(index + 1, len(command.policy)).after(spent)
            count = min(
                command.tasks_at_once,
                len(ours) - done,
                allowance.completions(options.sampling) // options.least_programs,
            )
            if count <= 0:
                break
            spent += yield name, ours[done : done + count], allowance
            done += count


def following(blocks: Generator[Block, Tally, None], tally: Tally) -> Block | None:
    """The block after one of that tally; None after the last."""
    try:
        return blocks.send(tally)
    except StopIteration:
        return None


def ordered(command: Label, tasks: Sequence[Task], index: int) -> Sequence[Task]:
    """The tasks in the order in which the policy of that index visits them: their own, or with a budget a drawn one."""
    if command.max_programs is None and command.max_tokens is None:
        return tasks
    return [tasks[place] for place in stream(command.seed, "label", index).permutation(len(tasks))]


@contextmanager
def _bars(num_blocks: int | None, num_done: int) -> Iterator[tuple[Watch, Callable[[], None]]]:
    columns = (TextColumn("{task.description:<20}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True)) as progress:
        whole = progress.add_task("blocks of tasks", total=num_blocks, completed=num_done)
        stage = progress.add_task("", total=None, visible=False)

        def watch(name: str, total: int) -> Callable[[int], None]:
            progress.reset(stage, total=total, description=name, visible=True)
            return lambda count: progress.advance(stage, count)

        yield watch, lambda: progress.advance(whole)


def print_summary(tally: Tally, command: Label) -> None:
    """What was labelled, what it cost against the linear scan, and how far the labels can be trusted."""
    console = Console()
    console.print(
        f"{command.out}: {tally.num_written} programs of {tally.num_sampled} sampled "
        f"({command.selection}); {tally.num_dropped} dropped by faults of the judge"
    )
    _print_rows(console, "programs and lines", _programs(tally))
    _print_rows(console, "cost of the search", _costs(tally))
    _print_rows(console, "how far to trust the labels", _trust(tally))


def _print_rows(console: Console, title: str, rows: Mapping[str, str]) -> None:
    table = Table(title, "")
    for name, value in rows.items():
        table.add_row(name, value)
    console.print(table)


def _programs(tally: Tally) -> dict[str, str]:
    return {
        "correct": str(tally.num_correct),
        "revised (lines of both signs)": str(tally.num_revised),
        "wrong": str(tally.num_wrong),
        "not searched, by the selection": str(tally.num_skipped),
        "search given up, by the budget": str(tally.num_given_up),
        "lines +1 / 0 / -1": f"{tally.num_positive} / {tally.num_neutral} / {tally.num_negative}",
    }


def _costs(tally: Tally) -> dict[str, str]:
    seconds = tally.seconds_generate + tally.seconds_judge
    return {
        "failing programs searched": str(tally.num_searches),
        "queries (distinct prefixes)": f"{tally.num_queries} ({tally.num_prefixes})",
        "completions": str(tally.num_completions),
        "  without early stop and sharing": str(tally.full_completions),
        "  of a linear scan": str(tally.linear_completions),
        "programs judged": str(tally.num_verdicts),
        "tokens of completions": str(tally.num_tokens),
        "completions of the audit": str(tally.audit_completions),
        "sampled in all, as a budget counts": f"{tally.programs} programs, {tally.tokens} tokens",
        "seconds in all": f"{seconds:.1f} (generation {tally.seconds_generate:.1f})",
    }


def _trust(tally: Tally) -> dict[str, str]:
    rate, contradictions = tally.false_negative_rate, tally.contradiction_rate
    return {
        "false negatives (1-p)^K, at least": "no prefix passed" if rate is None else f"{rate:.3f}",
        "contradicted by a second test": "no audit"
        if contradictions is None
        else f"{contradictions:.3f} of {tally.num_audits} ({tally.num_lost} lost, {tally.num_found} found)",
        "completions that strayed": str(tally.num_strays),
        "completions with a fault of the judge": str(tally.num_faults),
    }
