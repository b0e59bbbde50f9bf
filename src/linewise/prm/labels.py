"""Labelled programs: what the search found, as records that are stored, selected and read back exactly."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from linewise.errors import StorageError, UserError
from linewise.prm.search import NEGATIVE, NEUTRAL, POSITIVE
from linewise.rollout.lines import line_end_tokens
from linewise.rollout.records import completion_from_record, program_from_record
from linewise.types import Completion, Program, Prompt


class Kind(StrEnum):
    """What became of a program (arXiv:2410.17621, section 4.1)."""

    CORRECT = "correct"
    """It passes all tests: every line is recoverable."""
    REVISED = "revised"
    """It fails, and a completion of one of its prefixes passes, so that it has lines of both signs."""
    WRONG = "wrong"
    """It fails, and no line that does anything is recoverable (or, rarely, only comments come after the last that is)."""


class Selection(StrEnum):
    """Which labelled programs are kept (arXiv:2410.17621, table 3). Difficulty is the pass rate of the task's samples."""

    FULL = "full"
    """All programs."""
    REMOVE_HARD = "remove-hard"
    """Those of tasks of which at least one sample passes."""
    MEDIUM_ONLY = "medium-only"
    """Those of tasks of which at least one sample passes and at least one fails."""
    REVISED_ONLY = "revised-only"
    """Failing programs with a recoverable line, whatever the task; the paper's best, and the default."""


@dataclass(frozen=True, kw_only=True)
class Query:
    """One prefix that was put to the test."""

    lines: int
    """m: the prefix is lines 1 .. m of the sampled part."""
    num_completions: int
    """Completions drawn, at most K: drawing stops with the chunk in which one passes."""
    num_passed: int

    @property
    def recoverable(self) -> bool:
        """Whether a completion passed."""
        return self.num_passed > 0


@dataclass(frozen=True, kw_only=True)
class LabelledProgram:
    """A sampled program with a label for each of its sampled lines."""

    task_id: str
    policy: str
    """Name of the policy that sampled and completed it; its version is `completion.policy_version`."""
    prompt: Prompt
    """What it was sampled from, without `stream`."""
    completion: Completion
    """Its `logprobs` are empty where the text was imported and never sampled."""
    program: Program
    kind: Kind
    task_pass_rate: float | None
    """Share of this policy's samples of the task that passed: the task's difficulty; None for imported programs."""
    first_line: int
    """1-based line of the program that `labels` begin with; lines before it lie in the prompt."""
    labels: tuple[int, ...]
    """One for each line: +1 recoverable, 0 neutral, -1 not recoverable."""
    queries: tuple[Query, ...] = ()
    """The search, in order."""
    audits: tuple[Query, ...] = ()
    """Prefixes drawn at random and tested anew with fresh completions; they change no label."""

    def __post_init__(self) -> None:
        """Refuses labels that are none, and parts that do not belong together."""
        assert set(self.labels) <= {POSITIVE, NEUTRAL, NEGATIVE}, f"labels are -1, 0 or 1, not {self.labels}"
        completion, program = self.completion, self.program
        assert len(completion.char_spans) == len(completion.token_ids), "every token has its place in the text"
        written = completion.text[program.start : program.end]
        assert program.source[program.header_chars :] == written, "the program stands in the text at start..end"

    @property
    def num_recoverable(self) -> int:
        """Lines before the first line labelled -1, neutral ones included."""
        return self.labels.index(NEGATIVE) if NEGATIVE in self.labels else len(self.labels)

    def end_tokens(self) -> tuple[int, ...]:
        """For each label, the index of the last token that writes a character of its line: where a PRM is read."""
        tokens = {end.line: end.token for end in line_end_tokens(self.completion, self.program)}
        return tuple(tokens[self.first_line + step] for step in range(len(self.labels)))


def selected(program: LabelledProgram, selection: Selection) -> bool:
    """Whether a selection keeps a program; one without any line is never kept, for there is nothing to learn from it."""
    if not program.labels:
        return False
    if selection in (Selection.REMOVE_HARD, Selection.MEDIUM_ONLY) and program.task_pass_rate is None:
        raise UserError(
            f"the selection '{selection}' goes by the pass rate of the task's samples, which an imported program such as "
            f"'{program.task_id}' has not; use 'full' or 'revised-only'."
        )
    return may_select(selection, program.task_pass_rate or 0.0, kind=program.kind)


def may_select(selection: Selection, pass_rate: float, *, kind: Kind | None = None) -> bool:
    """Whether a selection keeps a program of a task of that pass rate; with kind None, whether it may keep any of them."""
    match selection:
        case Selection.FULL:
            return True
        case Selection.REMOVE_HARD:
            return pass_rate > 0
        case Selection.MEDIUM_ONLY:
            return 0 < pass_rate < 1
        case Selection.REVISED_ONLY:
            return kind is Kind.REVISED or (kind is None and pass_rate < 1)


def label_to_record(program: LabelledProgram) -> dict[str, Any]:
    """JSON form of a labelled program."""
    prompt = program.prompt
    shown = {"text": prompt.text, "header": prompt.header}
    flags = {"special_tokens": prompt.special_tokens, "fenced": prompt.fenced}
    return {**asdict(program), "prompt": shown | flags}


def label_from_record(record: Mapping[str, Any]) -> LabelledProgram:
    """The program of `label_to_record`. Raises KeyError, TypeError or ValueError for anything else."""
    return LabelledProgram(
        **{
            **record,
            "prompt": Prompt(task_id=record["task_id"], **record["prompt"]),
            "completion": completion_from_record(record["completion"]),
            "program": program_from_record(record["program"]),
            "kind": Kind(record["kind"]),
            "labels": tuple(record["labels"]),
            "queries": tuple(Query(**query) for query in record["queries"]),
            "audits": tuple(Query(**query) for query in record["audits"]),
        }
    )


def read_labels(path: Path) -> list[LabelledProgram]:
    """The programs of a file that `linewise prm label` wrote. Raises UserError that names the file, and a broken line."""
    programs = []
    for number, record in numbered_records(path):
        try:
            programs.append(label_from_record(record))
        except (KeyError, TypeError, ValueError, AssertionError) as error:
            raise UserError(
                f"{path}, line {number} is no labelled program ({error!r}). Give a file of `linewise prm label` or "
                "`linewise prm import`."
            ) from error
    return programs


def write_labels(programs: Iterable[LabelledProgram], path: Path) -> None:
    """Write programs so that `read_labels` gives them back. Raises StorageError where the file cannot be written."""
    write_lines((label_to_record(program) for program in programs), path)


def numbered_records(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """(1-based line number, JSON object) of each line that is not blank. Raises UserError for a line that is no object."""
    try:
        lines: Sequence[str] = path.read_text(encoding="utf-8").split("\n")
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}. Check the path.") from error
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except ValueError as error:
            raise UserError(f"{path}, line {number} is no JSON ({error}); write one object a line.") from error
        if not isinstance(record, dict):
            raise UserError(f"{path}, line {number} holds {type(record).__name__}; write one JSON object a line.")
        yield number, record


def write_lines(records: Iterable[Mapping[str, Any]], path: Path) -> None:
    """Write JSON lines. Raises StorageError where the file cannot be written."""
    text = "".join(json.dumps(record) + "\n" for record in records)
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise StorageError(f"could not write {path}: {error.strerror}. Choose another --out.") from error
