"""`linewise tasks list|show|check`."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import tyro
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

from linewise.errors import TaskError, did_you_mean
from linewise.tasks import available_sets, load_tasks
from linewise.tasks.check import TaskCheck, check_tasks, probes_of, show_test
from linewise.tasks.jsonl import task_to_json
from linewise.types import Task

NUM_LISTED = 5
"""Ids that an error offers."""


@dataclass(frozen=True, kw_only=True)
class ListTasks:
    """List the task sets that there are, or the tasks of one.

    linewise tasks list                  every set, with its number of tasks and where it is found

    linewise tasks list mbpp@test        id, number of tests and first line of each task
    """

    spec: tyro.conf.Positional[str | None] = None
    """NAME[@SPLIT][:PATH], such as starter@train, mbpp or jsonl:mine.jsonl."""


@dataclass(frozen=True, kw_only=True)
class ShowTask:
    """Show one task: prompt, signature, tests, set-up code and reference.

    linewise tasks show mbpp --id mbpp/11
    """

    spec: tyro.conf.Positional[str]
    """NAME[@SPLIT][:PATH], such as starter@train, mbpp or jsonl:mine.jsonl."""
    id: str | None = None
    """Id of the task; without one, the first task is shown."""
    json: bool = False
    """Print the task as one line of the JSONL format instead, ready to be put into a file of your own."""


@dataclass(frozen=True, kw_only=True)
class CheckTasks:
    """Check tasks before you train on them; no model is needed.

    Every reference must pass its own tests, and no program without thought (an empty one, or a function that returns a
    constant or its first argument) may pass them. The exit code is 0 if all tasks are clean, 1 if not.

    linewise tasks check jsonl:mine.jsonl
    """

    spec: tyro.conf.Positional[str]
    """NAME[@SPLIT][:PATH], such as starter@train, mbpp or jsonl:mine.jsonl."""
    json: bool = False
    """Print one JSON object instead of a table: tasks, references_failing, passed_by_stub, offenders, notes."""
    workers: int | None = None
    """Programs judged at the same time; None means one for each core."""
    allow_in_process: tyro.conf.FlagCreatePairsOff[bool] = False
    """Run assertions that cannot run apart from a program in its process; without it such tasks count as offenders."""


Command = (
    Annotated[ListTasks, tyro.conf.subcommand("list")]
    | Annotated[ShowTask, tyro.conf.subcommand("show")]
    | Annotated[CheckTasks, tyro.conf.subcommand("check")]
)


def main(arguments: list[str]) -> int:
    """Run the command. Returns 0, or 1 where a check found faults."""
    command: ListTasks | ShowTask | CheckTasks = tyro.cli(
        Command, prog="linewise tasks", description="List, show and check tasks.", args=arguments
    )
    console = Console(markup=False, highlight=False)
    match command:
        case ListTasks(spec=None):
            console.print(table_of_sets())
            return 0
        case ListTasks(spec=str(spec)):
            print_tasks(console, load_tasks(spec))
            return 0
        case ShowTask():
            print_task(console, find_task(load_tasks(command.spec), command.id), as_json=command.json)
            return 0
        case CheckTasks():
            return check(console, command)
    raise AssertionError(command)


def table_of_sets() -> Table:
    """Every set, with the number of tasks of those that need no download."""
    table = Table("set", "tasks", "splits", "what it is")
    table.add_column("found at", overflow="fold")
    for known in available_sets():
        place = known.place()
        splits = Counter(task.metadata["split"] for task in known.load(None)) if place else Counter[str]()
        named = ", ".join(f"{split} {splits[split]}" if splits else split for split in known.splits)
        count = str(sum(splits.values())) if splits else ""
        table.add_row(*map(Text, (known.name, count, named, known.description, place or known.elsewhere)))
    return table


def print_tasks(console: Console, tasks: Sequence[Task]) -> None:
    """One row for each task, and a line that counts."""
    table = Table(box=None)
    table.add_column("id", no_wrap=True, min_width=max(len(task.id) for task in tasks))
    table.add_column("split", no_wrap=True)
    table.add_column("tests", justify="right")
    table.add_column("prompt", no_wrap=True, overflow="ellipsis")
    for task in tasks:
        prompt = next(iter(task.prompt.split("\n")), "")
        table.add_row(*map(Text, (task.id, task.metadata.get("split", ""), str(len(task.tests)), prompt)))
    console.print(table)
    console.print(f"{len(tasks)} tasks with {sum(len(task.tests) for task in tasks)} tests")


def find_task(tasks: Sequence[Task], task_id: str | None) -> Task:
    """The task of that id, or the first. Raises TaskError for an unknown id."""
    by_id = {task.id: task for task in tasks}
    if task_id is None:
        return tasks[0]
    if task_id not in by_id:
        listed = ", ".join(list(by_id)[:NUM_LISTED])
        raise TaskError(
            f"there is no task '{task_id}'.{did_you_mean(task_id, by_id)} There are {len(by_id)}, the first being {listed}."
        )
    return by_id[task_id]


def print_task(console: Console, task: Task, *, as_json: bool) -> None:
    """One task, drawn for people or as a line of JSON."""
    if as_json:
        print(json.dumps(task_to_json(task)))
        return
    facts = ", ".join(f"{name} {value}" for name, value in task.metadata.items() if value)
    console.print(Text.assemble((task.id, "bold"), f"  {facts}\n\n{task.prompt}\n"))
    if task.signature:
        console.print(Syntax(task.signature, "python", background_color="default"))
        console.print()
    for test in task.tests:
        kind = ("example  ", "green") if test.example else ("hidden   ", "yellow")
        console.print(Text.assemble(kind, show_test(test)))
    for name, code in (("set-up code, run after the program", task.setup), ("reference", task.reference)):
        if code:
            console.print(Text(f"\n{name}", "bold"))
            console.print(Syntax(code.rstrip("\n"), "python", line_numbers=True, background_color="default"))
    limits = task.limits
    console.print(
        f"\nlimits: {limits.cpu_seconds:g} s CPU a test, {limits.total_cpu_seconds:g} s together, "
        f"{limits.memory_mb} MiB, {limits.output_bytes} bytes of output"
    )


def check(console: Console, command: CheckTasks) -> int:
    """Judge references and stubs, and print the offenders. Returns 0 if there are none, else 1."""
    from linewise.judge import LocalJudge

    tasks = load_tasks(command.spec)
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with (
        LocalJudge(workers=command.workers, allow_in_process=command.allow_in_process) as judge,
        Progress(*columns, console=Console(stderr=True), transient=True) as progress,
    ):
        bar = progress.add_task("references and stubs", total=sum(len(probes_of(task)) for task in tasks))
        checks = check_tasks(tasks, judge, progress=lambda count: progress.advance(bar, count))
    if command.json:
        print(json.dumps(checks_to_json(checks)))
    else:
        print_checks(console, checks)
    return 0 if all(one.clean for one in checks) else 1


def checks_to_json(checks: Sequence[TaskCheck]) -> dict[str, object]:
    """JSON form of a check: counts, the offenders with their reasons, and how often each note was made."""
    return {
        "tasks": len(checks),
        "references_failing": sum(bool(one.reference_fault) for one in checks),
        "passed_by_stub": sum(bool(one.stub_fault) for one in checks),
        "offenders": [
            {"id": one.task.id, "reference": one.reference_fault or None, "stub": one.stub_fault or None}
            for one in checks
            if not one.clean
        ],
        "notes": dict(Counter(one.note for one in checks if one.note)),
    }


def print_checks(console: Console, checks: Sequence[TaskCheck]) -> None:
    """A table of the offenders with the reasons, and a line that counts."""
    table = Table("task", "what is wrong", show_lines=True)
    for one in checks:
        if not one.clean:
            table.add_row(Text(one.task.id), Text("\n".join(filter(None, (one.reference_fault, one.stub_fault)))))
    if table.row_count:
        console.print(table)
    notes = Counter(one.note for one in checks if one.note)
    console.print(
        f"{len(checks)} tasks: {sum(bool(one.reference_fault) for one in checks)} references fail their tests, "
        f"{sum(bool(one.stub_fault) for one in checks)} tasks are passed by a stub"
        + "".join(f"; {count} have {note}" for note, count in notes.items())
    )
