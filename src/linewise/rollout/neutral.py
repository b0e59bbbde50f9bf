"""Lines that do nothing: blank ones, comments, and statements that are nothing but a string (docstrings).

A learned line reward that pays for them teaches the policy to write them: the paper's models wrote comments until
these were labelled 0 (arXiv:2410.17621, section 3.3). Lines are read by Python's own tokeniser, never by their look: a
`#` inside a string is no comment, and a blank line inside one is code. An inline comment does not make a line neutral.
"""

import io
import tokenize
from collections.abc import Sequence
from dataclasses import dataclass

from linewise.rollout.lines import LINE_END

SILENT = frozenset(
    (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER)
)
"""Kinds of token that are no code."""


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What the tokeniser made of the first lines of a text."""

    code: frozenset[int]
    """1-based lines that hold code."""
    num_lines: int
    """Lines that were read; the rest must be read anew."""


def neutral_lines(source: str) -> frozenset[int]:
    r"""The 1-based lines of a program that do nothing. Example: `"# x\ny = 1\n"` gives {1, 3}.

    A program that Python cannot tokenise is read up to the fault, and anew from the line of the fault on. A line that
    cannot be read even so is code, and so is everything after the opening quotes of a string that is never closed.
    """
    lines = LINE_END.split(source)
    neutral: set[int] = set()
    begin = 0
    while begin < len(lines):
        reading = _read(lines[begin:])
        neutral.update(begin + line for line in range(1, reading.num_lines + 1) if line not in reading.code)
        begin += reading.num_lines
    return frozenset(neutral)


def _read(lines: Sequence[str]) -> Reading:
    """Read lines up to the first fault; at least one."""
    text = "\n".join(lines) + "\n"
    tokens: list[tokenize.TokenInfo] = []
    try:
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            tokens.append(token)  # one by one: those before a fault count
    except (tokenize.TokenError, SyntaxError) as error:
        return _read_partly(tokens, error, num_lines=len(lines))
    return Reading(code=_code_lines(tokens), num_lines=len(lines))


def _read_partly(
    tokens: Sequence[tokenize.TokenInfo], error: tokenize.TokenError | SyntaxError, *, num_lines: int
) -> Reading:
    """The reading of lines whose tokens end with a fault."""
    code = _code_lines(tokens)
    message = str(error.args[0])
    if "multi-line statement" in message or "was never closed" in message:
        return Reading(code=code, num_lines=num_lines)
    row = error.lineno if isinstance(error, SyntaxError) else error.args[1][0]
    row = min(max(row or 1, 1), num_lines)
    if "multi-line string" in message or "triple-quoted" in message:
        return Reading(code=code.union(range(row, num_lines + 1)), num_lines=num_lines)
    if row == 1:
        return Reading(code=frozenset((1,)), num_lines=1)
    return Reading(code=code, num_lines=row - 1)


def _code_lines(tokens: Sequence[tokenize.TokenInfo]) -> frozenset[int]:
    code: set[int] = set()
    statement: list[tokenize.TokenInfo] = []
    for token in tokens:
        if token.type not in SILENT:
            statement.append(token)
        if token.type == tokenize.NEWLINE:
            code.update(_lines_of(statement))
            statement = []
    # A statement that the fault interrupted may have had more to say than its string.
    code.update(line for token in statement for line in range(token.start[0], token.end[0] + 1))
    return frozenset(code)


def _lines_of(statement: Sequence[tokenize.TokenInfo]) -> set[int]:
    """The lines of a statement's tokens; none for a statement that is only a string, in brackets or not."""
    strings = [token for token in statement if _is_plain_string(token)]
    if strings and all(token in strings or token.string in ("(", ")") for token in statement):
        return set()
    return {line for token in statement for line in range(token.start[0], token.end[0] + 1)}


def _is_plain_string(token: tokenize.TokenInfo) -> bool:
    prefix = token.string.partition('"')[0].partition("'")[0]
    # Before Python 3.12 an f-string, which runs code, is a string token too.
    return token.type == tokenize.STRING and not {"f", "t"} & set(prefix.lower())
