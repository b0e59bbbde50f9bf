"""`linewise judge PROGRAM.py --tests TASKS.jsonl`: run one program against the tests of a task."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console

from linewise.errors import UserError, did_you_mean
from linewise.judge.local import LocalJudge
from linewise.judge.render import render_report, report_as_json
from linewise.types import Task

NUM_LISTED = 5


@dataclass(frozen=True, kw_only=True)
class JudgeArguments:
    """Run one program against the tests of a task and draw the report.

    The exit code is 0 if the program passed every test, 1 if it did not, 2 for a usage error or a fault of the judge.
    """

    program: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="PROGRAM.py")]
    """File that holds the program; - reads it from standard input."""
    tests: Path
    """File of tasks in the JSONL format."""
    id: str | None = None
    """Which task of the file; needed where it holds more than one."""
    json: tyro.conf.FlagCreatePairsOff[bool] = False
    """Print the report as one JSON object (docs/judge.md lists its fields)."""


def main(arguments: list[str]) -> int:
    """Run the command. Returns 0 if the program passed, else 1."""
    parsed = tyro.cli(JudgeArguments, args=arguments, prog="linewise judge")
    program = read_program(parsed.program)
    task = load_task(parsed.tests, parsed.id)
    with LocalJudge(workers=1) as judge:
        report = judge.run(task, program)
    if parsed.json:
        print(json.dumps(report_as_json(task, report)))
    else:
        Console().print(render_report(task, program, report))
    return 0 if report.passed else 1


def read_program(name: str) -> str:
    """The text of a file, or of standard input for `-`. Raises `UserError`."""
    if name == "-":
        return sys.stdin.read()
    try:
        return Path(name).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read the program '{name}': {error}. Give a UTF-8 file, or - for stdin.") from error


def load_task(path: Path, task_id: str | None) -> Task:
    """The task called `task_id` in a JSONL file, or the only one there. Raises `UserError`."""
    from linewise.tasks import load_tasks

    tasks = {task.id: task for task in load_tasks(f"jsonl:{path}")}
    if task_id is None and len(tasks) == 1:
        (task,) = tasks.values()
        return task
    if task_id in tasks:
        return tasks[task_id]
    listed = ", ".join(list(tasks)[:NUM_LISTED]) + (", ..." if len(tasks) > NUM_LISTED else "")
    if task_id is None:
        raise UserError(f"{path} holds {len(tasks)} tasks ({listed}): choose one with --id ID.")
    raise UserError(
        f"{path} holds no task '{task_id}'.{did_you_mean(task_id, tasks)} There are {len(tasks)}: {listed}."
    )
