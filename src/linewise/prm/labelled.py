"""Labelled programs as a file: what labelling writes and training reads. One JSON object a program."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from linewise.errors import UserError
from linewise.types import Completion, Program, StopReason

LABELS = (-1, 0, 1)
"""-1 unrecoverable, 0 neutral (comment, blank, docstring), +1 recoverable (arXiv:2410.17621, section 3.2)."""


@dataclass(frozen=True, kw_only=True)
class LineLabel:
    """What labelling found for one line."""

    line: int
    """1-based line of the program."""
    label: int
    """One of `LABELS`."""


@dataclass(frozen=True, kw_only=True)
class LabelledProgram:
    """A sampled program with a label for each of its lines."""

    task_id: str
    prompt: str
    """The prompt's text, as the policy saw it."""
    completion: Completion
    """Tokens and their places. Labelling keeps no log-probabilities: they are NaN here."""
    program: Program
    labels: tuple[LineLabel, ...]
    kind: str
    """`correct` (passes), `revised` (fails, but a prefix is recoverable) or `wrong` (no prefix is)."""
    policy: str
    """Name of the policy whose tokens these are."""


def read_labelled(paths: Sequence[Path]) -> list[LabelledProgram]:
    """The programs of some label files, in order. Raises UserError with file, line and what is wrong there."""
    programs = []
    for path in paths:
        try:
            lines = path.read_text(encoding="utf-8").split("\n")
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"cannot read the labels '{path}': {error}. Give a file of labelled programs.") from error
        for number, line in enumerate(lines, start=1):
            if line.strip():
                try:
                    programs.append(labelled_from_record(json.loads(line)))
                except (ValueError, KeyError, TypeError) as error:
                    raise UserError(
                        f"{path}, line {number} is no labelled program ({type(error).__name__}: {error}). The format "
                        "is described in docs/prm-training.md."
                    ) from error
    if not programs:
        raise UserError(f"there is no labelled program in {', '.join(map(str, paths)) or 'no file'}.")
    return programs


def labelled_from_record(record: dict[str, Any]) -> LabelledProgram:
    """One program from its JSON form. Raises ValueError, KeyError or TypeError where it breaks the format."""
    if "completion" in record:
        record = _flattened(record)
    token_ids = tuple(map(int, record["token_ids"]))
    completion = Completion(
        prompt_ids=tuple(map(int, record["prompt_ids"])),
        token_ids=token_ids,
        logprobs=(math.nan,) * len(token_ids),
        char_spans=tuple((int(begin), int(end)) for begin, end in record["char_spans"]),
        text=record["text"],
        stop_reason=StopReason.EOS,
    )
    program = Program(**record["program"])
    if len(completion.char_spans) != len(token_ids):
        raise ValueError(f"{len(token_ids)} tokens have {len(completion.char_spans)} char_spans")
    if program.source[program.header_chars :] != completion.text[program.start : program.end]:
        raise ValueError("the program is not what stands in the text at program.start..program.end")
    labels = tuple(LineLabel(line=int(line), label=int(label)) for line, label in record["labels"])
    for one in labels:
        if one.label not in LABELS or one.line < 1:
            raise ValueError(f"line {one.line} has the label {one.label}; lines count from 1, labels are -1, 0 or 1")
    if len({one.line for one in labels}) < len(labels):
        raise ValueError("a line has two labels")
    return LabelledProgram(
        task_id=str(record["task_id"]),
        prompt=record["prompt"],
        completion=completion,
        program=program,
        labels=labels,
        kind=record["class"],
        policy=record["policy"],
    )


def _flattened(record: dict[str, Any]) -> dict[str, Any]:
    """The flat form of a record that keeps prompt and completion as objects and its labels as a run of lines."""
    completion, first = record["completion"], int(record["first_line"])
    return {
        "task_id": record["task_id"],
        "prompt": record["prompt"]["text"],
        **{name: completion[name] for name in ("prompt_ids", "token_ids", "char_spans", "text")},
        "program": record["program"],
        "labels": [[first + index, label] for index, label in enumerate(record["labels"])],
        "class": record["kind"],
        "policy": record["policy"],
    }


def labelled_to_record(labelled: LabelledProgram) -> dict[str, Any]:
    """The JSON form of `labelled_from_record`."""
    completion, program = labelled.completion, labelled.program
    return {
        "task_id": labelled.task_id,
        "prompt": labelled.prompt,
        "prompt_ids": completion.prompt_ids,
        "token_ids": completion.token_ids,
        "char_spans": completion.char_spans,
        "text": completion.text,
        "program": {
            "source": program.source,
            "header_chars": program.header_chars,
            "start": program.start,
            "end": program.end,
        },
        "labels": [[one.line, one.label] for one in labelled.labels],
        "class": labelled.kind,
        "policy": labelled.policy,
    }
