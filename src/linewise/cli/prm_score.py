"""`linewise prm score PROGRAM.py`: a process reward model's scores beside the lines of a program."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import tyro
from rich.console import Console
from rich.text import Text

from linewise.cli.judge import read_program
from linewise.cli.models import device
from linewise.cli.quiet import quiet_libraries
from linewise.errors import UserError, did_you_mean
from linewise.prm.metrics import rank_by_fit
from linewise.prm.rank import LineAggregation, code_lines, program_score
from linewise.rollout.lines import line_starts
from linewise.rollout.prompts import PromptOptions, build_prompt
from linewise.tasks import load_tasks
from linewise.types import LineScore, Program, Prompt, Task

if TYPE_CHECKING:
    from linewise.prm.score import LineScorer

BAR = 8
"""Characters of the longest bar."""


@dataclass(frozen=True, kw_only=True)
class PrmScoreArguments:
    """Score the lines of a program: how likely, on a scale from -1 to 1, the program up to there can still be completed.

    The scores depend on the task. Give it by --tasks and --id, or the whole prompt by --prompt.

    Examples:
      linewise prm score answer.py --prm runs/prm/prm --tasks starter --id starter/add-two
      linewise prm score answer.py --prm runs/prm/prm --prompt "# Add two numbers."
    """

    file: tyro.conf.Positional[str]
    """The program; - reads it from stdin."""
    prm: Path
    """Folder that `linewise prm train` wrote (OUT/prm)."""
    tasks: str | None = None
    """Task set NAME[@SPLIT][:PATH] that holds the task."""
    id: str | None = None
    """The task; not needed for a set of one."""
    prompt: str | None = None
    """What stands before the program, as it is; a line break is added."""
    prompts: PromptOptions = PromptOptions()
    """How a task becomes a prompt; as in the training of the model."""
    json: bool = False
    """Print one JSON object instead of a drawing."""


@dataclass(frozen=True, kw_only=True)
class ToScore:
    """A program as the continuation of a prompt."""

    prompt: Prompt
    text: str
    """What follows the prompt."""
    program: Program


def main(arguments: list[str]) -> int:
    """Run the command. Returns 0."""
    settings = tyro.cli(
        PrmScoreArguments, prog="linewise prm score", args=arguments, config=(tyro.conf.EnumChoicesFromValues,)
    )
    if settings.tasks is not None and settings.prompt is not None:
        raise UserError("--tasks and --prompt both say what stands before the program: give one of them.")
    if settings.tasks is None and settings.id is not None:
        raise UserError(f"--id {settings.id} needs the set that the task is in: give --tasks.")
    source = read_program(settings.file)
    if not source.strip():
        raise UserError(f"the program '{settings.file}' is empty, so there is no line to score.")
    task = None if settings.tasks is None else find_task(settings.tasks, settings.id)
    # Imported here, so that --help and errors in settings need no torch.
    from linewise.prm.score import load_scorer

    quiet_libraries()
    scorer = load_scorer(settings.prm, device=device())
    asked = (
        of_prompt(source, settings.prompt or "") if task is None else of_task(source, task, scorer, settings.prompts)
    )
    (scores,) = scorer.score([(scorer.encode(asked.prompt, asked.text), asked.program)])
    if settings.json:
        print(json.dumps(as_record(source, scores)))
    else:
        draw(source, scores, Console())
    return 0


def find_task(spec: str, task_id: str | None) -> Task:
    """The task called `task_id` in a set, or the only one there. Raises UserError."""
    tasks = {task.id: task for task in load_tasks(spec)}
    if task_id is None and len(tasks) == 1:
        return next(iter(tasks.values()))
    if task_id is None:
        raise UserError(f"{spec} holds {len(tasks)} tasks: choose one with --id ID (`linewise tasks list {spec}`).")
    if task_id not in tasks:
        raise UserError(f"{spec} holds no task '{task_id}'.{did_you_mean(task_id, tasks)}")
    return tasks[task_id]


def of_task(source: str, task: Task, scorer: "LineScorer", options: PromptOptions) -> ToScore:
    """The program after the prompt of its task.

    A program that begins with the task's signature continues it, as a sampled one does; its first lines are the prompt's
    and have no score. Another program follows the prompt of the task without its signature, as a whole.
    """
    prompt = build_prompt(task, scorer, options)
    if task.signature is not None and prompt.header and source.startswith(task.signature):
        text, header_chars = source[len(task.signature) :], len(task.signature)
        program = Program(source=source, header_chars=header_chars, start=0, end=len(text))
        return ToScore(prompt=prompt, text=text, program=program)
    prompt = build_prompt(replace(task, signature=None), scorer, options)
    return ToScore(
        prompt=prompt,
        text=f"\n{source}",
        program=Program(source=source, header_chars=0, start=1, end=1 + len(source)),
    )


def of_prompt(source: str, text: str) -> ToScore:
    """The program after a prompt that is given as text; a prompt begins the next line, unless it is empty."""
    lead = "\n" if text and not text.endswith("\n") else ""
    return ToScore(
        prompt=Prompt(task_id="", text=text),
        text=lead + source,
        program=Program(source=source, header_chars=0, start=len(lead), end=len(lead) + len(source)),
    )


def as_record(source: str, scores: Sequence[LineScore]) -> dict[str, object]:
    """What --json prints: the lines of code with their scores, the most suspicious one, and the program's values."""
    code = code_lines(source)
    return {
        "lines": [{"line": one.line, "score": one.score, "code": one.line in code} for one in scores],
        "first_error": first_error(scores, code),
        "program": {str(kind): program_score(scores, code, kind) for kind in LineAggregation},
    }


def first_error(scores: Sequence[LineScore], code: frozenset[int]) -> int | None:
    """The line of code that fits best as the first error (`rank_by_fit`); None where no error fits better."""
    ours = [one for one in scores if one.line in code]
    if not ours:
        return None
    first = rank_by_fit([one.score for one in ours])[0]
    return ours[first].line if sum(one.score for one in ours[first:]) < 0 else None


def draw(source: str, scores: Sequence[LineScore], console: Console) -> None:
    """The program with a number and a bar beside each scored line; comments and blank lines are grey."""
    by_line, code = {one.line: one.score for one in scores}, code_lines(source)
    error = first_error(scores, code)
    starts = [*line_starts(source), len(source)]
    for line, (begin, end) in enumerate(pairwise(starts), start=1):
        text = source[begin:end].rstrip("\r\n")
        if line == len(starts) - 1 and not text:
            break
        row = Text(f"{line:>4} ", style="dim")
        score = by_line.get(line)
        if score is None or line not in code:
            row.append(" " * (8 + BAR + 1))
            row.append(text, style="dim")
        else:
            bar = "█" * max(1, round(abs(score) * BAR))
            row.append(f"{score:+.3f}  {bar:<{BAR}} ", style="blue" if score > 0 else "red")
            row.append(text, style="")
        if line == error:
            row.append("   <- first error?", style="bold red")
        console.print(row, soft_wrap=True, highlight=False)
    values = ", ".join(f"{kind} {program_score(scores, code, kind):+.3f}" for kind in LineAggregation)
    console.print(f"program: {values}", highlight=False)
