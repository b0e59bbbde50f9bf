"""Neutral lines of programs that parse, and of programs that do not."""

import ast
import io
import tokenize
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from linewise.rollout.lines import line_starts
from linewise.rollout.neutral import _neutral_throughout, neutral_lines


@pytest.mark.parametrize(
    ("source", "neutral"),
    [
        ("x = 1", set()),
        ("# x\ny = 1\n", {1, 3}),
        ("x = 1  # said\n\n   \ny = 2", {2, 3}),
        ('def f():\n    """Doc.\n\n    # more\n    """\n    return 1', {2, 3, 4, 5}),
        ('x = """\n# no comment\n\n"""', set()),
        ("f(\n    # a\n\n    1,\n)", {2, 3}),
        ("x = '# no comment'\n'a string alone'\nb'bytes'\n", {2, 3, 4}),
        ("('one'\n 'string')\n()\n('a',)\nf'{print(1)}'\n'a'.upper()\n", {1, 2, 7}),
        ("def f(): 'doc'\n", {2}),
        ("a = 1\r\n# b\r\n\r# c\rd = 2", {2, 3, 4}),
        ("x = 1 + \\\n    2\n", {3}),
    ],
)
def test_programs_that_parse(source: str, neutral: set[int]) -> None:
    ast.parse(source)
    assert neutral_lines(source) == neutral


@pytest.mark.parametrize(
    ("source", "neutral"),
    [
        # A dedent to nowhere: read up to it, and anew from it.
        ("if x:\n        a\n    b\n    # c\n    'doc'\n    d\n", {4, 5, 7}),
        # A bracket that is never closed holds everything after it; comments stay comments.
        ("x = f(\n# c\n\n1\n'no statement'\n", {2, 3, 6}),
        # A string that is never closed holds everything after it.
        ("x = 1\n# c\ny = '''a\n\n# no comment\nz = 2", {2}),
        ("'''doc that never ends\n\n# no comment", set()),
        # A string that ends with its line.
        ("x = 'abc\n# d\n\ny = 1", {2, 3}),
        ("if $ x ?\n# c\n    pass\n", {2, 4}),
        ("        return 1\n    # c\n  x\n", {2, 4}),
        ("def f(:\n    return\n", {3}),
    ],
)
def test_programs_that_do_not_parse(source: str, neutral: set[int]) -> None:
    with pytest.raises(SyntaxError):
        ast.parse(source)
    assert neutral_lines(source) == neutral


PIECES = ["x = 1", "# c", "", "    y", "f(", ")", "'s'", "\\", "\f", "\x00", "\t# t", "'", "if"]


@given(st.lists(st.sampled_from(PIECES)))
def test_without_multi_line_strings_a_line_of_code_is_never_neutral_and_a_comment_always(lines: list[str]) -> None:
    neutral = neutral_lines("\n".join(lines))
    for line, text in enumerate(lines, start=1):
        after_join = line > 1 and lines[line - 2] == "\\"
        if text in ("x = 1", "    y", "f(", "if"):
            assert line not in neutral
        elif text in ("# c", "") and not after_join:
            assert line in neutral


@given(st.text(alphabet="'\"\\#()\n\r \tx=:", max_size=40))
def test_any_text_is_read(source: str) -> None:
    assert neutral_lines(source) <= set(range(1, len(line_starts(source)) + 1))


def test_lines_taken_out_change_nothing_in_the_syntax_tree() -> None:
    source = (
        'import os  # why\n\n# c\ndef f(a):\n    """Doc."""\n    if a:\n'
        "        # d\n        return (\n\n            1\n        )\n"
    )
    neutral = neutral_lines(source)
    kept = "\n".join(text for line, text in enumerate(source.split("\n"), start=1) if line not in neutral)
    assert "Doc" not in kept
    assert ast.unparse(ast.parse(kept)) == ast.unparse(ast.parse(source)).replace('"""Doc."""\n    ', "")


ODD = [
    '"""d"""',
    "    '''",
    "x = f'''{",
    "f'{a",
    "}'",
    "('a'",
    "rb'z'",
    "x = 1 + \\",
    "'a' \\",
    "x = '#'",
    "]",
    "$",
    "é",
]


@given(st.lists(st.sampled_from([*PIECES, *ODD]), min_size=1, max_size=12))
def test_lines_that_the_tokeniser_is_spared_are_read_as_it_reads_them(lines: list[str]) -> None:
    assert neutral_lines("\n".join(lines)) == _neutral_throughout(lines)


def test_the_tokeniser_reads_no_further_than_a_look_could_deceive(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    generate = tokenize.generate_tokens

    def recording(readline: Callable[[], str]) -> Iterator[tokenize.TokenInfo]:
        seen.append(text := "".join(iter(readline, "")))
        return generate(io.StringIO(text).readline)

    monkeypatch.setattr(tokenize, "generate_tokens", recording)
    assert neutral_lines('def f(a):\n    """Doc."""\n\n    # c\n    return a["b"]') == {2, 3, 4}
    assert seen == ['def f(a):\n    """Doc."""\n']
    # The bracket is open where the look is sure again, so all is read.
    assert neutral_lines("x = f(\n\n'a'\n)\n# c") == {2, 5}
    assert seen[1:] == ["x = f(\n\n'a'\n", "x = f(\n\n'a'\n)\n# c\n"]
