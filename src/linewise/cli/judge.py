"""`linewise judge PROGRAM.py --tests TASKS.jsonl`: run one program against the tests of a task."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro
from rich.console import Console

from linewise.errors import UserError, did_you_mean
from linewise.judge.capabilities import Tier, probe
from linewise.judge.local import LocalJudge
from linewise.judge.render import capabilities_as_json, render_capabilities, render_report, report_as_json
from linewise.types import Task

NUM_LISTED = 5


@dataclass(frozen=True, kw_only=True)
class JudgeArguments:
    """Run one program against the tests of a task and draw the report.

    The exit code is 0 if the program passed every test, 1 if it did not, 2 for a usage error or a fault of the judge.
    """

    program: Annotated[tyro.conf.Positional[str | None], tyro.conf.arg(metavar="PROGRAM.py")] = None
    """File that holds the program; - reads it from standard input."""
    tests: Path | None = None
    """File of tasks in the JSONL format."""
    id: str | None = None
    """Which task of the file; needed where it holds more than one."""
    json: tyro.conf.FlagCreatePairsOff[bool] = False
    """Print the report as one JSON object (docs/judge.md lists its fields)."""
    min_tier: Literal["T1", "T2", "T2g"] = "T2g"
    """The weakest isolation to run the program under; the best one that this machine offers is used."""
    unsafe: tyro.conf.FlagCreatePairsOff[bool] = False
    """Run the program even where no tier of isolation can be had."""
    executed_lines: tyro.conf.FlagCreatePairsOff[bool] = False
    """Record which lines run: draw how many tests ran each line and, if one failed, how suspicious that makes the line."""
    allow_in_process: tyro.conf.FlagCreatePairsOff[bool] = False
    """Run assertions that cannot run apart from the program in its own process, where it could forge their verdicts."""
    capabilities: tyro.conf.FlagCreatePairsOff[bool] = False
    """Say which tiers of isolation this machine offers, and why not the others; no program is run."""


def main(arguments: list[str]) -> int:
    """Run the command. Returns 0 if the program passed, else 1. Raises `UserError` and `JudgeError`."""
    parsed = tyro.cli(JudgeArguments, args=arguments, prog="linewise judge")
    if parsed.capabilities:
        return show_capabilities(as_json=parsed.json)
    if parsed.program is None or parsed.tests is None:
        raise UserError("PROGRAM.py and --tests are both needed, unless --capabilities is given.")
    program = read_program(parsed.program)
    task = load_task(parsed.tests, parsed.id)
    # None, not False, without the flag: the environment may allow it.
    with LocalJudge(
        workers=1,
        min_tier=parsed.min_tier,
        unsafe=parsed.unsafe or None,
        record_lines=parsed.executed_lines,
        allow_in_process=parsed.allow_in_process,
    ) as judge:
        report = judge.run(task, program)
    if parsed.json:
        print(json.dumps(report_as_json(task, report)))
    else:
        Console().print(render_report(task, program, report))
    return 0 if report.passed else 1


def show_capabilities(*, as_json: bool) -> int:
    """Print the tiers of isolation. Returns 0 if one of them keeps programs apart, else 1."""
    found = probe()
    if as_json:
        print(json.dumps(capabilities_as_json(found)))
    else:
        Console().print(render_capabilities(found))
    return 0 if found.best is not Tier.T3 else 1


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
