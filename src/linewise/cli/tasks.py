"""`linewise tasks list|show|check`."""

import json
from collections import Counter
from dataclasses import dataclass
from typing import Annotated

import tyro
from rich.console import Console
from rich.progress import Progress
from rich.syntax import Syntax
from rich.table import Table

from linewise.errors import TaskError
from linewise.tasks import TASK_SETS, load_tasks
from linewise.tasks.check import TaskCheck, check_tasks, probes_of, show_test
from linewise.tasks.jsonl import task_to_json
from linewise.types import Task

MOST_SHOWN = 50
"""Rows of a table after which the rest is counted."""


@dataclass(frozen=True, kw_only=True)
class ListTasks:
    """The task sets that there are, or the tasks of one set.

    Examples:  linewise tasks list      linewise tasks list mbpp@test
    """

    spec: tyro.conf.Positional[str | None] = None
    """NAME[@SPLIT][:PATH], such as starter@train or jsonl:mine.jsonl; none lists the sets."""


@dataclass(frozen=True, kw_only=True)
class ShowTask:
    """One task with its tests and its reference.

    Example:  linewise tasks show mbpp --id mbpp/11
    """

    spec: tyro.conf.Positional[str]
    """NAME[@SPLIT][:PATH]."""
    id: str | None = None
    """Id of the task; none shows the first."""
    json: bool = False
    """Print the task in the JSON-lines format instead."""


@dataclass(frozen=True, kw_only=True)
class CheckTasks:
    """Does every reference pass its own tests, and does every stub fail? No model is needed.

    Returns 0 if all tasks are clean, 1 if not.  Example:  linewise tasks check jsonl:mine.jsonl
    """

    spec: tyro.conf.Positional[str]
    """NAME[@SPLIT][:PATH]."""
    json: bool = False
    """Print one JSON object instead of a table."""
    workers: int | None = None
    """Programs judged at the same time; none means one per core."""


Command = (
    Annotated[ListTasks, tyro.conf.subcommand("list")]
    | Annotated[ShowTask, tyro.conf.subcommand("show")]
    | Annotated[CheckTasks, tyro.conf.subcommand("check")]
)


def main(arguments: list[str]) -> int:
    """Run the command. Returns 0, or 1 where a check found faults."""
    command: ListTasks | ShowTask | CheckTasks = tyro.cli(
        Command,  # type: ignore[arg-type]
        prog="linewise tasks",
        description="List, show and check tasks.",
        args=arguments,
    )
    match command:
        case ListTasks():
            return list_tasks(command)
        case ShowTask():
            return show_task(command)
        case CheckTasks():
            return check(command)


def list_tasks(command: ListTasks) -> int:
    """Print the sets, or the tasks of one."""
    console = Console()
    if command.spec is None:
        table = Table("set", "splits", "what it is")
        for name, known in TASK_SETS.items():
            table.add_row(name, ", ".join(known.splits), known.description)
        console.print(table)
        return 0
    tasks = load_tasks(command.spec)
    table = Table("id", "split", "tests", "prompt")
    for task in tasks[:MOST_SHOWN]:
        table.add_row(task.id, task.metadata.get("split", ""), str(len(task.tests)), task.prompt.split("\n")[0])
    console.print(table)
    splits = Counter(task.metadata.get("split", "no split") for task in tasks)
    more = f"; the first {MOST_SHOWN} are shown" if len(tasks) > MOST_SHOWN else ""
    console.print(f"{len(tasks)} tasks ({', '.join(f'{count} {name}' for name, count in splits.items())}){more}")
    return 0


def show_task(command: ShowTask) -> int:
    """Print one task."""
    task = find_task(load_tasks(command.spec), command.id)
    console = Console()
    if command.json:
        print(json.dumps(task_to_json(task)))
        return 0
    console.print(f"[bold]{task.id}[/bold]  {dict(task.metadata)}\n\n{task.prompt}\n", highlight=False)
    if task.signature:
        console.print(Syntax(task.signature, "python"))
    for test in task.tests:
        console.print(f"  {'example' if test.example else 'hidden '}  {show_test(test)}", highlight=False, markup=False)
    for name, code in (("setup", task.setup), ("reference", task.reference)):
        if code:
            console.print(f"\n[bold]{name}[/bold]")
            console.print(Syntax(code, "python", line_numbers=True))
    return 0


def find_task(tasks: list[Task], task_id: str | None) -> Task:
    """The task of that id, or the first. Raises TaskError for an unknown id."""
    if task_id is None:
        return tasks[0]
    for task in tasks:
        if task.id == task_id:
            return task
    raise TaskError(f"there is no task '{task_id}'; the first ids are {', '.join(task.id for task in tasks[:5])}.")


def check(command: CheckTasks) -> int:
    """Judge references and stubs, and print the offenders."""
    from linewise.judge import LocalJudge

    tasks = load_tasks(command.spec)
    total = sum(1 for task in tasks for _ in probes_of(task))
    with LocalJudge(workers=command.workers) as judge, Progress(console=Console(stderr=True)) as progress:
        bar = progress.add_task("judging references and stubs", total=total)
        checks = check_tasks(tasks, judge, progress=lambda count: progress.advance(bar, count))
    faulty = [one for one in checks if not one.clean]
    if command.json:
        print(json.dumps({"tasks": len(tasks), "faults": [fault_to_json(one) for one in faulty]}))
    else:
        print_faults(checks, faulty)
    return 1 if faulty else 0


def fault_to_json(fault: TaskCheck) -> dict[str, str]:
    """JSON form of one faulty task."""
    return {"id": fault.task.id, "reference": fault.reference_fault, "stub": fault.stub_fault, "note": fault.note}


def print_faults(checks: list[TaskCheck], faulty: list[TaskCheck]) -> None:
    """A table of the faulty tasks and a line that counts."""
    console = Console()
    if faulty:
        table = Table("task", "fault")
        for one in faulty:
            table.add_row(one.task.id, "; ".join(filter(None, (one.reference_fault, one.stub_fault))))
        console.print(table, markup=False)
    notes = Counter(one.note for one in checks if one.note)
    console.print(
        f"{len(checks)} tasks: {sum(bool(one.reference_fault) for one in checks)} references fail their tests, "
        f"{sum(bool(one.stub_fault) for one in checks)} tasks are passed by a stub"
        + "".join(f"; {count} have {note}" for note, count in notes.items()),
        highlight=False,
    )
