"""Rows of stepwise supervision, `{"prompt", "completions": [step, ...], "labels": [...]}`: the form that TRL used.

A step is the text of one line with its line end, so the steps of a row, joined, are the sampled program exactly.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from linewise.errors import UserError
from linewise.prm.labels import Kind, LabelledProgram, numbered_records
from linewise.prm.prefix import steps_of
from linewise.prm.search import NEGATIVE, NEUTRAL, POSITIVE
from linewise.types import Completion, Program, Prompt, StopReason


@dataclass(frozen=True, kw_only=True)
class StepwiseRow:
    """One program, step by step."""

    prompt: str
    completions: tuple[str, ...]
    labels: tuple[float | bool, ...]
    """One for each step. Numbers: above 0 right, below 0 wrong, 0 neutral. Booleans: right or wrong."""


@dataclass(frozen=True, kw_only=True)
class Tokens:
    """A text as a policy's tokeniser reads it."""

    token_ids: tuple[int, ...]
    char_spans: tuple[tuple[int, int], ...]


def to_stepwise(program: LabelledProgram, *, booleans: bool = False) -> StepwiseRow:
    """The row of a labelled program. Prose before the program goes to the prompt, a first line end to the first step.

    `booleans` gives True and False, for readers that know no neutral step: a neutral line is joined to the line after it,
    or at the end to the line before it.
    """
    answer, start = program.completion.text, program.program.start
    start = start if answer[:start].strip() else 0  # line ends are no prose
    prompt = program.prompt.text + answer[:start]
    text = answer[start : program.program.end]
    ends = [end - start for end in steps_of(program.program).ends]
    assert ends, "a program without lines has no row"
    # Each step reaches to where the next line's text begins: its line end is its own.
    cuts = [0, *(_after_line_end(text, end) for end in ends[:-1]), len(text)]
    steps = [text[begin:end] for begin, end in pairwise(cuts)]
    if not booleans:
        return StepwiseRow(prompt=prompt, completions=tuple(steps), labels=tuple(map(float, program.labels)))
    joined: list[str] = []
    labels: list[bool] = []
    waiting = ""
    for step, label in zip(steps, program.labels, strict=True):
        waiting += step
        if label != NEUTRAL:
            joined.append(waiting)
            labels.append(label == POSITIVE)
            waiting = ""
    if joined:
        joined[-1] += waiting
    return StepwiseRow(prompt=prompt, completions=tuple(joined), labels=tuple(labels))


def _after_line_end(text: str, end: int) -> int:
    return end + 2 if text.startswith("\r\n", end) else end + 1


def stepwise_to_record(row: StepwiseRow) -> dict[str, Any]:
    """JSON form of a row."""
    return asdict(row)


def read_stepwise(path: Path) -> Iterator[StepwiseRow]:
    """The rows of a file, one JSON object a line. Raises UserError that names the line and the field."""
    for number, record in numbered_records(path):
        yield _row(record, f"{path}, line {number}")


def _row(record: Mapping[str, Any], where: str) -> StepwiseRow:
    rules: Mapping[str, tuple[Callable[[Any], bool], str]] = {
        "prompt": (lambda value: isinstance(value, str), "a string"),
        "completions": (lambda value: _all(value, str), "a list of strings, one a step"),
        "labels": (lambda value: _all(value, (bool, int, float)), "a list of numbers or of true and false"),
    }
    for name, (is_right, rule) in rules.items():
        if not is_right(record.get(name)):
            raise UserError(f"{where}, field '{name}' is {record.get(name)!r:.60}; it must be {rule}.")
    steps, labels = record["completions"], record["labels"]
    if len(steps) != len(labels):
        raise UserError(f"{where} has {len(steps)} completions and {len(labels)} labels; give one label for each step.")
    return StepwiseRow(prompt=record["prompt"], completions=tuple(steps), labels=tuple(labels))


def _all(value: Any, kind: type | tuple[type, ...]) -> bool:
    return isinstance(value, list) and all(isinstance(item, kind) for item in value)


def from_stepwise(
    row: StepwiseRow,
    *,
    task_id: str,
    policy: str,
    tokenise_prompt: Callable[[str], Sequence[int]],
    tokenise: Callable[[str], Tokens],
) -> LabelledProgram:
    """A row as a labelled program, tokenised by a policy, for the tokens that wrote it are not known.

    Every line takes the label of the step that writes its first character that is not white space; neutral lines are
    0 whatever the row says (the comment rule). The kind is REVISED where labels of both signs occur.
    """
    text = "".join(row.completions)
    tokens = tokenise(text)
    # No header: which part of the prompt is the program's beginning is not known, and nothing is run. A line end before
    # the first line belongs to that unknown header.
    start = len(text) - len(text.lstrip("\r\n"))
    program = Program(source=text[start:], header_chars=0, start=start, end=len(text))
    labels = _line_labels(row, program)
    signs = set(labels) - {NEUTRAL}
    kinds = {frozenset((POSITIVE,)): Kind.CORRECT, frozenset((NEGATIVE,)): Kind.WRONG}
    return LabelledProgram(
        task_id=task_id,
        policy=policy,
        prompt=Prompt(task_id=task_id, text=row.prompt),
        completion=Completion(
            prompt_ids=tuple(tokenise_prompt(row.prompt)),
            token_ids=tokens.token_ids,
            logprobs=(),
            char_spans=tokens.char_spans,
            text=text,
            stop_reason=StopReason.EOS,
        ),
        program=program,
        kind=kinds.get(frozenset(signs), Kind.REVISED if signs else Kind.CORRECT),
        task_pass_rate=None,
        first_line=steps_of(program).first_line,
        labels=labels,
    )


def _line_labels(row: StepwiseRow, program: Program) -> tuple[int, ...]:
    steps = steps_of(program)
    signs = [
        sign for step, label in zip(row.completions, row.labels, strict=True) for sign in [_sign(label)] * len(step)
    ]
    text = "".join(row.completions)
    labels, begin = [], program.start
    for number, end in enumerate(steps.ends, start=1):
        line = text[begin:end]
        place = begin + len(line) - len(line.lstrip())
        labels.append(NEUTRAL if number in steps.neutral else signs[place])
        begin = _after_line_end(text, end)
    return tuple(labels)


def _sign(label: float | bool) -> int:
    if isinstance(label, bool):
        return POSITIVE if label else NEGATIVE
    return (label > 0) - (label < 0)
