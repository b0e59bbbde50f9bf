"""Where the program is inside a completion, and when it is whole.

A prompt decides what can end a program:

- `header` (the prompt holds a signature, the completion is its body): the first line at column 0 after it, unless that
  line continues an open bracket or a triple-quoted string;
- `fenced` (the prompt opened a Markdown code fence): the closing fence;
- neither (a free answer): the closing fence of the program's code block. An answer without a fence ends with the
  end-of-sequence token.

Where the answer has begun (`Prompt.begun`), `text` is what comes after the beginning, and the two together are read.

Whether a program was *cut* is no question for this module: that is `Completion.truncated`.
"""

import ast
import re
import warnings
from collections.abc import Iterator

from linewise.rollout.pieces import PIECES
from linewise.types import Program, Prompt

_STATEMENT = re.compile(r"(?:(?:async[ \t]+)?def|class|import)[ \t]|return\s|from[ \t]+\S+[ \t]+import\b|@[^\W\d]|```")
"""What begins a statement and continues no expression. A keyword counts once it is whole: `def` may become `default`."""
_OPENING_FENCE = re.compile(r"^[ \t]*```[^\n`]*(?:\n|\Z)", re.MULTILINE)
_CLOSING_FENCE = re.compile(r"^[ \t]*```.*$", re.MULTILINE)
_CODE_LINE = re.compile(r"^(?:def|class|import|from|async|@)\b|^@", re.MULTILINE)


def is_complete(prompt: Prompt, text: str) -> bool:
    """Whether the program in `text` is whole, so that sampling can end. Called once for each sampled token.

    Only a text whose last line has begun at column 0 can have completed a program: all others are answered at once.
    """
    text = _given(prompt) + text
    if prompt.fenced and "\n```" in text:  # a token may hold the fence and what follows it
        return True
    last = text[text.rfind("\n") + 1 :]
    if not last or last[0].isspace() or len(last) == len(text):
        return False
    if prompt.header and _top_level(prompt.header, text) is not None:
        return True
    return not prompt.header and not prompt.fenced and _closed_block(text) is not None


def extract_program(prompt: Prompt, text: str) -> Program:
    r"""The program inside a completion; empty, never an error, where there is none.

    Always `source == header + beginning + text[start:end]`, where the beginning counts as far as it is program. Example:
    header `def f(a):`, begun `"\n    b = a\n"`, text `"    return b\nprint(1)"`: `header_chars` 20, `text[0:13]`.
    """
    given = _given(prompt)
    answer = given + text
    start, end = _span(prompt, answer)
    return Program(
        source=prompt.header + answer[start:end],
        header_chars=len(prompt.header) + max(0, min(end, len(given)) - start),
        start=max(0, start - len(given)),
        end=max(0, end - len(given)),
    )


def _given(prompt: Prompt) -> str:
    return "" if prompt.begun is None else prompt.begun.text


def _span(prompt: Prompt, text: str) -> tuple[int, int]:
    if not prompt.header and not prompt.fenced:
        return _free_span(text)
    ends = [len(text)]
    if prompt.fenced:
        fence = re.search(r"^```", text, re.MULTILINE)
        # A fence right at the beginning of the continuation would close an empty program.
        ends.extend([fence.start()] if fence else [])
    if prompt.header:
        top_level = _top_level(prompt.header, text)
        ends.extend([top_level] if top_level is not None else [])
    return 0, min(ends)


def _top_level(header: str, text: str) -> int | None:
    """Offset in `text` of the first line at column 0 after the header's function; None while there is none."""
    source = header + text
    depth = 0
    for match in PIECES.finditer(source):
        if match["open"]:
            depth += 1
        elif match["close"]:
            depth = max(0, depth - 1)
        elif match["newline"] and match.end() >= len(header):
            if match.end() == len(source) or source[match.end()].isspace():
                continue
            # An unclosed bracket is an error, not an excuse: no expression goes on with a statement.
            if depth == 0 or _STATEMENT.match(source, match.end()):
                return match.end() - len(header)
    return None


def _free_span(text: str) -> tuple[int, int]:
    """The program in a free answer: all of it if it parses, else its code block, else from its first line of code."""
    if _parses(text):
        return 0, len(text)
    blocks = [(start, end) for start, end, _closed in _blocks(text)]
    if blocks:
        return next((block for block in blocks if _CODE_LINE.search(text, *block)), blocks[0])
    first = _CODE_LINE.search(text)
    if first is None:
        return 0, len(text)
    top_level = _after_code(text, first.start())
    return first.start(), top_level


def _after_code(text: str, start: int) -> int:
    """Where prose begins again: the longest run of whole lines from `start` that parses; all of the text if none does."""
    ends = [start + match.end() for match in re.finditer(r"\n|\Z", text[start:])]
    return next((end for end in reversed(ends) if text[start:end].strip() and _parses(text[start:end])), len(text))


def _blocks(text: str) -> Iterator[tuple[int, int, bool]]:
    """Insides of the text's code blocks, and whether each is closed; only the last may be open."""
    place = 0
    while (opening := _OPENING_FENCE.search(text, place)) is not None:
        closing = _CLOSING_FENCE.search(text, opening.end())
        yield opening.end(), len(text) if closing is None else closing.start(), closing is not None
        place = len(text) if closing is None else closing.end()


def _closed_block(text: str) -> tuple[int, int] | None:
    """The first code block that is closed and defines something."""
    return next(
        ((start, end) for start, end, closed in _blocks(text) if closed and _CODE_LINE.search(text, start, end)), None
    )


def _parses(source: str) -> bool:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # under `-W error` a doubtful escape would be a SyntaxError
            ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True
