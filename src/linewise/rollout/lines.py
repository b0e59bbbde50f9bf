r"""Lines <-> characters <-> tokens of a program, by arithmetic on offsets; never a text search, never a second tokenisation.

Lines are counted as the Python compiler counts them: `\n`, `\r\n` and `\r` end a line; form feeds and Unicode separators,
at which `str.splitlines` would break, do not.

A token that touches several lines (`"\n    "` is one token) belongs to the line of its first character that is not white
space, or, if it is all white space, of its last character.
"""

import re
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from linewise.types import Completion, Program

LINE_END = re.compile(r"\r\n|\n|\r")

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class LineEnd:
    """Where a line is complete."""

    line: int
    """1-based line of the program."""
    token: int
    """Index of the last token that writes a character of the line, its newline included."""


def line_starts(source: str) -> list[int]:
    r"""Offset of the first character of every line. Example: `"a\nb"` gives `[0, 2]`."""
    return [0, *(match.end() for match in LINE_END.finditer(source))]


def line_of_chars(source: str) -> npt.NDArray[np.int64]:
    """[len(source)] the 1-based line of every character; a newline belongs to the line that it ends."""
    lines = np.ones(len(source), dtype=np.int64)
    for start in line_starts(source)[1:]:
        lines[start:] += 1
    return lines


def token_lines(completion: Completion, program: Program) -> npt.NDArray[np.int64]:
    """[T] the 1-based program line of each token; 0 for a token that wrote nothing inside the program.

    Prose, fences and end-of-sequence tokens lie outside. Lines of the header lie in the prompt and have no tokens.
    """
    lines_of_chars = line_of_chars(program.source)
    lines = np.zeros(len(completion.token_ids), dtype=np.int64)
    for index, (begin, end) in enumerate(completion.char_spans):
        begin, end = max(begin, program.start), min(end, program.end)
        if begin >= end:
            continue
        piece = completion.text[begin:end]
        leading = len(piece) - len(piece.lstrip())
        place = begin + leading if leading < len(piece) else end - 1
        lines[index] = lines_of_chars[place - program.start + program.header_chars]
    return lines


def first_sampled_line(program: Program) -> int:
    r"""The 1-based line of a program that is the first of its sampled lines.

    A header's last line is none where only its line end was sampled. Example: header `"def f():"` with the sampled text
    `"\n    return 1"` gives 2; with `" return 1"` it gives 1.
    """
    starts = line_starts(program.source)
    first = sum(start <= program.header_chars for start in starts)
    end = starts[first] if first < len(starts) else len(program.source)
    only_line_end = program.header_chars and not program.source[program.header_chars : end].strip()
    return first + 1 if only_line_end else first


def tokens_of_line(completion: Completion, program: Program, line: int) -> Mask:
    """[T] True for the tokens that belong to a line."""
    assert line >= 1, "lines are counted from 1"
    mask: Mask = token_lines(completion, program) == line
    return mask


def program_tokens(completion: Completion, program: Program) -> Mask:
    """[T] True for the tokens that wrote some of the program."""
    mask: Mask = token_lines(completion, program) > 0
    return mask


def line_end_tokens(completion: Completion, program: Program) -> tuple[LineEnd, ...]:
    """For each line with sampled characters, the last token that writes one of them: what a line-level judge reads."""
    lines_of_chars = line_of_chars(program.source)
    last: dict[int, int] = {}
    for index, (begin, end) in enumerate(completion.char_spans):
        begin, end = max(begin, program.start), min(end, program.end)
        offset = program.header_chars - program.start
        for line in set(lines_of_chars[begin + offset : max(begin, end) + offset].tolist()):
            last[line] = index
    return tuple(LineEnd(line=line, token=token) for line, token in sorted(last.items()))
