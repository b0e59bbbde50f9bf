"""Lines that do nothing: blank ones, comments, and statements that are nothing but a string (docstrings).

A learned line reward that pays for them teaches the policy to write them: the paper's models wrote comments until
these were labelled 0 (arXiv:2410.17621, section 3.3). Lines are read by Python's own tokeniser wherever their look could
deceive: a `#` inside a string is no comment, and a blank line inside one is code. An inline comment does not make a line
neutral.
"""

import io
import re
import tokenize
from collections.abc import Sequence
from dataclasses import dataclass

from linewise.rollout.lines import LINE_END

SILENT = frozenset(
    (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER)
)
"""Kinds of token that are no code."""
DECEPTIVE_QUOTE = re.compile(
    r"""
    \"{3} | '{3}                  # a string of several lines
    | [ft]r?['"] | r[ft]['"]        # a string with code inside, which may have several lines too
    | ^[ \t()]*[a-z]{0,2}['"]       # perhaps a statement that is nothing but a string
    """,
    re.VERBOSE | re.IGNORECASE,
)
"""Strings that make the look of a line, or of those after it, unsure."""


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What the tokeniser made of the first lines of a text."""

    code: frozenset[int]
    """1-based lines that hold code."""
    num_lines: int
    """Lines that were read; the rest must be read anew."""
    whole: bool = False
    """Whether the lines are whole statements, all brackets and strings closed."""


def neutral_lines(source: str) -> frozenset[int]:
    r"""The 1-based lines of a program that do nothing. Example: `"# x\ny = 1\n"` gives {1, 3}.

    A program that Python cannot tokenise is read up to the fault, and anew from the line of the fault on. A line that
    cannot be read even so is code, and so is everything after the opening quotes of a string that is never closed.
    """
    lines = LINE_END.split(source)
    # The tokeniser takes most of the time of line credit, so it stops where nothing can deceive any more.
    num_unsure = next((line for line in range(len(lines), 0, -1) if _may_deceive(lines[line - 1])), 0)
    reading = _read(lines[:num_unsure]) if num_unsure else Reading(code=frozenset(), num_lines=0, whole=True)
    if not reading.whole:
        return _neutral_throughout(lines)
    seen = {line for line in range(1, num_unsure + 1) if line not in reading.code}
    plain = (line for line in range(num_unsure + 1, len(lines) + 1) if _looks_neutral(lines[line - 1]))
    return frozenset(seen.union(plain))


def _may_deceive(line: str) -> bool:
    """Whether the look of a line, or of the next ones, may be another than what Python reads.

    Beside strings: a backslash, after which the next line goes on, and what is no plain text (form feeds, other scripts).
    """
    text = line.lstrip(" \t")
    if "\\" in text or not (text.isascii() and text.isprintable()):
        return True
    return ("'" in text or '"' in text) and DECEPTIVE_QUOTE.search(text) is not None


def _looks_neutral(line: str) -> bool:
    """Whether a line that cannot deceive, outside a string, is blank or a comment."""
    text = line.lstrip(" \t")
    return not text or text[0] == "#"


def _neutral_throughout(lines: Sequence[str]) -> frozenset[int]:
    """`neutral_lines` by the tokeniser alone."""
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
    return Reading(code=_code_lines(tokens), num_lines=len(lines), whole=True)


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
    only_strings = all(token.string in ("(", ")") or _is_plain_string(token) for token in statement)
    if only_strings and any(token.type == tokenize.STRING for token in statement):
        return set()
    return {line for token in statement for line in range(token.start[0], token.end[0] + 1)}


def _is_plain_string(token: tokenize.TokenInfo) -> bool:
    if token.type != tokenize.STRING:
        return False
    # Before Python 3.12 an f-string, which runs code, is a string token too.
    prefix = token.string.partition('"')[0].partition("'")[0]
    return not {"f", "t"} & set(prefix.lower())
