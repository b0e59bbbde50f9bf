"""The pieces of Python source that a reader of unfinished programs must know: strings, comments, brackets, line ends.

`tokenize` gives up on a program that was cut; this reads any text, and says what is still open at its end.
"""

import re

PIECES = re.compile(
    r"""
    \#[^\n\r]*  # a comment
    | (?P<quotes>\"\"\"|''') (?:\\(?:\r\n|.)|(?!(?P=quotes)).)*+ (?P<closed>(?P=quotes))?  # a triple-quoted string
    | \"(?:\\(?:\r\n|.)|[^\"\\\n\r])*+\"?  # a string, closed on its line or not
    | '(?:\\(?:\r\n|.)|[^'\\\n\r])*+'?
    | \\(?:\r\n|\n|\r)  # a line joined to the next
    | (?P<open>[(\[{]) | (?P<close>[)\]}])
    | (?P<newline>\r\n|\n|\r)
    """,
    re.DOTALL | re.VERBOSE,
)
"""Matches one piece; what lies between two matches opens and closes nothing."""


def ends_inside_triple_quotes(source: str) -> bool:
    r"""Whether a triple-quoted string is still open at the end of the source.

    Examples: `x = '''abc` does; `x = "a'''b"` and `# '''` do not.
    """
    return any(match["quotes"] and match["closed"] is None for match in PIECES.finditer(source))
