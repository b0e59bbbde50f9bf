"""What the end of a program that does not parse looks like, read from its text and not from an error's wording."""

import re

# Skips over everything that may hold a quote without opening a string; what is left open at the end is the answer.
_PIECES = re.compile(
    r"""
    \#[^\n]*                                        # a comment
    | (?P<open>\"\"\"|''') (?:\\.|(?!(?P=open)).)*+ (?P<close>(?P=open))?   # a triple-quoted string, closed or not
    | \"(?:\\.|[^\"\\\n])*+\"?                      # a string, closed on its line or not
    | '(?:\\.|[^'\\\n])*+'?
    """,
    re.DOTALL | re.VERBOSE,
)


def ends_inside_triple_quotes(source: str) -> bool:
    r"""Whether a triple-quoted string is still open at the end of the source.

    Examples: `x = '''abc` does; `x = "a'''b"` and `# '''` do not.
    """
    return any(match["open"] and match["close"] is None for match in _PIECES.finditer(source))
