"""Where programs end, by hand and against Python's own parser."""

import ast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from linewise.rollout.program import extract_program, is_complete
from linewise.types import Prompt

# A busy machine is no fault of the code.
STEADY = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

HEADER = "def f(a, b):"
BODY = Prompt(task_id="t", text="", header=HEADER)
FENCED_BODY = Prompt(task_id="t", text="", header=HEADER, fenced=True)
FENCED = Prompt(task_id="t", text="", fenced=True)
FREE = Prompt(task_id="t", text="")
PROMPTS = [BODY, FENCED_BODY, FENCED, FREE]


def program_text(prompt: Prompt, text: str) -> str:
    """The sampled part of the program."""
    program = extract_program(prompt, text)
    return text[program.start : program.end]


# ------------------------------------------------------------------------------------------------------- after a header


@pytest.mark.parametrize("prompt", [BODY, FENCED_BODY])
@pytest.mark.parametrize(
    ("body", "rest"),
    [
        ("\n    return a\n", "print(f(1, 2))"),
        (" return a\n", "x = 1"),
        ("\n    return a\n\n\n", "def g():\n    pass"),
        ("\n    return a\n", "# prose"),
        ("\n    return a\n", "```"),
        ("\n    return a\n", ")"),
        ("\r\n    return a\r\n", "x = 1"),
        ("\n    return ['(', \"[{\", '''(\n''', r'\\(']\n", "x = 1"),
        ("\n    s = '('  # it's [\n    return s\n", "x = 1"),
        ('\n    """Docs\nat column 0 with (\n"""\n    return a\n', "x = 1"),
        ("\n    x = '''\n```\ndef g():\n'''[0]\n", "x = 1"),
        ("\n    x = (\n1,\n)\n    return x\n", "x = 1"),
        ("\n    x = a + \\\nb\n    return x\n", "x = 1"),
        ("\n    x = 'a\\\nb('\n    return x\n", "x = 1"),
        ("\n    @wraps(a)\n    def g():\n        return 1\n    return g\n", "@wraps(f)\ndef h():"),
        ("\n    x = (1\n    y = 2\n", "def g():\n    pass"),
        ("\n    x = [1, {2\n", "class A:"),
        ("\n    x = (\n", "import os"),
        ("\n    x = (\n", "from os import path"),
        ("\n    x = (\n", "return x"),
        ("\n    x = (\n", "@cache"),
        ("\n    x = (\n", "```"),
        ("\n    x = 1)\n    y = (2\n    )\n", "x = 1"),
        ("\n    s = 'never closed (\n    return s\n", "x = 1"),
    ],
)
def test_a_body_ends_where_column_0_begins(prompt: Prompt, body: str, rest: str) -> None:
    if prompt.fenced and "```" in body:
        pytest.skip("a fence at column 0 ends a fenced program, even inside a string")
    text = body + rest
    program = extract_program(prompt, text)
    assert program.source == HEADER + body
    assert (program.header_chars, program.start, program.end) == (len(HEADER), 0, len(body))
    assert is_complete(prompt, body + rest.splitlines()[0])
    assert not is_complete(prompt, body), "an empty last line may still be indented"


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "x",
        "\n    return a",
        "\n    return a\n",
        "\n    return a\n    ",
        "\n    return a\n\n\t",
        "\n    return (a +\nb",
        "\n    return [\nclass_of_a,\nfrom_b, returned_",
        '\n    """\nreturn',
        "\n    x = '''a\ndef g():",
        "\n    x = a + \\\nb",
    ],
)
def test_a_body_without_an_end_is_all_of_the_text(text: str) -> None:
    assert program_text(BODY, text) == text
    assert not is_complete(BODY, text)


def test_a_newline_inside_the_header_ends_nothing() -> None:
    prompt = Prompt(task_id="t", text="", header="@cache\ndef f(\na,\n):\n    '''Docs (\nmore.'''")
    assert program_text(prompt, "\n    return a\nf(1)") == "\n    return a\n"
    assert extract_program(prompt, "\n    return a\nf(1)").source == prompt.header + "\n    return a\n"


def test_a_fence_ends_a_fenced_body_even_inside_a_string() -> None:
    text = "\n    x = '''\n```\nThat is it.\n"
    assert program_text(FENCED_BODY, text) == "\n    x = '''\n"
    assert is_complete(FENCED_BODY, "\n    x = '''\n```")
    assert not is_complete(BODY, "\n    x = '''\n```")
    assert program_text(BODY, text) == text


STATEMENTS = [
    "    x = [a, b]\n",
    '    # a comment with ( and \' and """\n',
    "    s = \"([{\" + ')'\n",
    "    s = 'it\\'s (' + \"\\\"[\"\n",
    '    """Docs\nat column 0 (\n\n"quoted"\n"""\n',
    "    t = '''\ndef g():\n  ''' ''\n",
    '    t = """\\""" (\n@x"""\n',
    "    x = (\n1,\n  2)\n",
    "    x = {\n    'a': [1, 2],  # ]\n'b': (),\n}\n",
    "    y = a + \\\nb\n",
    "    def inner():\n        return (1)\n",
    "    @staticmethod\n    def other(): return 1\n",
    "    class Inner:\n        pass\n",
    "    import os; from os import path\n",
    "\n",
    "  \t\n",
    "\x0c\n",
    '    s = r\'\\(\' + rb"\\"".decode()\n',
    "    s = f'{a}(' f\"{'('}\"\n",
    "    s = '' + \"\" + ''''''\n",
    "    if a:\n      b = 1\n    else:\n\n      b = 2\n",
    "    s = 'naïve 🙂 ('\n",
]
HEADERS = [
    HEADER,
    'def f(a, b):\n    """Doc with ( and \' and \\"\\"\\" in it.\n\n>>> f(1)\n    """',
    "def f(\na,\n    b=')',\n):  # (",
    "@decorated\ndef f(a, b):",
    "import os\n\ndef f(a, b):",
    "class A:\n  def f(self):",
]
RESTS = [
    "print(f(1))\n",
    "def g():\n    pass\n",
    "@decorated\ndef g(): pass\n",
    "x = 1",
    "'''doc'''\n",
    "class A: pass",
]
RESTS += [
    "import os\n",
    "from os import path",
    "if True:\n    pass\n",
    "(1)\n",
    "async def g(): pass",
    "...",
    "~1",
    "É = 1",
]


@STEADY
@given(
    header=st.sampled_from(HEADERS),
    body=st.lists(st.sampled_from(STATEMENTS), max_size=7).map("".join),
    rest=st.sampled_from(RESTS),
    newline=st.sampled_from(["\n", "\r\n"]),
)
def test_bodies_end_where_the_parser_sees_the_next_statement(header: str, body: str, rest: str, newline: str) -> None:
    prompt = Prompt(task_id="t", text="", header=header.replace("\n", newline))
    text = ("\n    a = 0\n" + body + rest).replace("\n", newline)
    index = 2 if header.startswith("import") else 1
    after = ast.parse(prompt.header + text).body[index]
    decorators = getattr(after, "decorator_list", [])
    line = min([after.lineno, *(decorator.lineno for decorator in decorators)])
    end = sum(len(part) + len(newline) for part in (prompt.header + text).split(newline)[: line - 1]) - len(
        prompt.header
    )
    assert text[end:].startswith(rest[0])
    assert program_text(prompt, text) == text[:end]
    first = next(place for place in range(len(text) + 1) if is_complete(prompt, text[:place]))
    assert first == end + 1, "sampling ends with the first character at column 0"


# --------------------------------------------------------------------------------------------------------------- fences


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("\nx = 1\n```\nThat is it.", "\nx = 1\n"),
        ("\nx = 1\n  ```\nprint(x)\n```python\n", "\nx = 1\n  ```\nprint(x)\n"),
        ("\nx = '```'\n", "\nx = '```'\n"),
        ("\r\nx = 1\r\n```\r\n", "\r\nx = 1\r\n"),
        ("\ndef f():\n    pass\n\nprint(f())\n", "\ndef f():\n    pass\n\nprint(f())\n"),
        ("```", ""),
        ("", ""),
    ],
)
def test_a_fenced_program_ends_at_the_closing_fence(text: str, expected: str) -> None:
    assert program_text(FENCED, text) == expected


def test_a_fenced_program_is_whole_when_the_fence_is_three_long() -> None:
    whole = "\ndef f():\n    pass\n\nx = f()\n```"
    assert [place for place in range(len(whole) + 1) if is_complete(FENCED, whole[:place])] == [len(whole)]


# --------------------------------------------------------------------------------------------------------- free answers


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x = 1\nprint(x)\n", "x = 1\nprint(x)\n"),
        ("", ""),
        ("I cannot do that.", "I cannot do that."),
        ("Sure:\n```python\nx = 1\n```\nDone.", "x = 1\n"),
        ("Sure:\n```\nx = 1\n", "x = 1\n"),
        ("Sure:\n```python", ""),
        ("```\n$ pip install x\n```\nthen\n```py\nimport x\n```\n", "import x\n"),
        ("```\na\n```\n```\nb\n```\n", "a\n"),
        ("Sure:\r\n```python\r\ndef f(): pass\r\n```\r\n", "def f(): pass\r\n"),
        ("Here it is.\n\ndef f():\n    return 1\n\nIt is short.\n", "def f():\n    return 1\n\n"),
        ("Here it is.\n@cache\ndef f(): return (\n1)\nIt's short.\nAnd good.", "@cache\ndef f(): return (\n1)\n"),
        ("Here it is.\nasync def f():\n    return 1", "async def f():\n    return 1"),
        ("Here it is.\ndef f(:\n    return 1\n", "def f(:\n    return 1\n"),
        ("The definition is short; so are imports.", "The definition is short; so are imports."),
    ],
)
def test_the_program_of_a_free_answer(text: str, expected: str) -> None:
    assert program_text(FREE, text) == expected


@pytest.mark.parametrize(
    ("text", "complete"),
    [
        ("Sure:\n```python\ndef f(): pass\n```", True),
        ("Sure:\n```python\ndef f(): pass\n```\nDone.", True),
        ("Sure:\n```python\ndef f(): pass\n``", False),
        ("Sure:\n```python\ndef f(): pass\n", False),
        ("Sure:\n```python", False),
        ("```\n$ pip install x\n```", False),
        ("```\n$ pip install x\n```\n```\nimport x\n```", True),
        ("def f():\n    return 1\n\nx", False),
        ("def f():\n    return 1\n\nThis is prose.", False),
    ],
)
def test_a_free_answer_is_whole_when_a_block_that_defines_something_is_closed(text: str, complete: bool) -> None:
    assert is_complete(FREE, text) is complete


@STEADY
@given(
    before=st.lists(st.sampled_from(["Sure, here it is:\n", "\n", "1. Add (a\n", "It's `f`.\n"]), max_size=3).map(
        "".join
    ),
    body=st.lists(st.sampled_from(STATEMENTS), max_size=4).map("".join),
    after=st.sampled_from(["", "\n", "\nIt's done (\n", "\nNow:\n```\ndef g(): pass\n```\n", "\n```\nopen"]),
    language=st.sampled_from(["", "python", "py\t"]),
)
def test_fenced_code_is_found_in_any_prose(before: str, body: str, after: str, language: str) -> None:
    source = f"{HEADER}\n    a = 0\n{body}"
    text = f"{before}```{language}\n{source}```"
    assert program_text(FREE, text + after) == source
    assert is_complete(FREE, text)
    assert not is_complete(FREE, text[:-1])


def test_a_free_answer_does_not_depend_on_the_warning_filters() -> None:
    source = "import re\nx = re.findall('\\d', s)\n"
    assert program_text(FREE, source + "That is it.\n") == source


# ------------------------------------------------------------------------------------------------------------ any text

FRAGMENTS = [
    "\n",
    "\n",
    "\n    ",
    "\r\n",
    "\r",
    "    ",
    "x = (",
    "[",
    "{",
    ")",
    "]",
    "}",
    "'''",
    '"""',
    "'",
    '"',
    "\\",
    "#",
]
FRAGMENTS += [
    "```\n",
    "```python\n",
    "def g():",
    "class A:",
    "import os",
    "from os import x",
    "return x",
    "@d",
    "é",
    "🙂",
]
FRAGMENTS += ["\x0c", "\u2028", "\x00", "\t", ", y", "print(1)", "Prose here.", "\ndef h():\n    return 1\n"]
CODE_LIKE = st.lists(st.sampled_from(FRAGMENTS), max_size=25).map("".join)
TEXTS = CODE_LIKE | st.text(max_size=20)


@settings(STEADY, max_examples=150)
@given(prompt=st.sampled_from(PROMPTS), text=TEXTS)
def test_a_program_is_its_header_and_a_part_of_the_text(prompt: Prompt, text: str) -> None:
    program = extract_program(prompt, text)
    assert 0 <= program.start <= program.end <= len(text)
    assert program.header_chars == len(prompt.header)
    assert program.source == prompt.header + text[program.start : program.end]
    if prompt is not FREE:
        assert program.start == 0
        assert extract_program(prompt, text[: program.end]) == program, "what follows a program does not matter"
    if is_complete(prompt, text) and prompt is not FREE:
        assert program.end < len(text), "what completed the program is no part of it"


@settings(STEADY, max_examples=300)
@given(prompt=st.sampled_from(PROMPTS), text=CODE_LIKE)
def test_once_whole_a_program_stays_as_it_is(prompt: Prompt, text: str) -> None:
    """Sampling may end wherever `is_complete` says so: nothing that could follow would change the program."""
    final = extract_program(prompt, text)
    for place in range(len(text)):
        if is_complete(prompt, text[:place]):
            assert extract_program(prompt, text[:place]) == final


@pytest.mark.parametrize("end", ["```\n", "```\n\n", "```\n  "])
def test_a_token_that_goes_on_after_the_closing_fence_completes_the_program(end: str) -> None:
    """Many vocabularies hold a fence's last characters and the newline after them in one token."""
    assert is_complete(FENCED, "\nx = 1\n" + end)


@pytest.mark.parametrize("name", ["defaults", "classes", "imports", "from_a", "returned"])
def test_a_name_at_column_0_of_an_open_bracket_ends_nothing(name: str) -> None:
    text = f"\n    x = [\n{name}]\n    return x\n"
    assert program_text(BODY, text) == text
    assert not any(is_complete(BODY, text[:place]) for place in range(len(text)))


@pytest.mark.parametrize("more", ["`", " and `f` is it", "`\nDone."])
def test_a_closed_block_stays_closed(more: str) -> None:
    text = "```python\ndef f(): pass\n```"
    assert is_complete(FREE, text)
    assert program_text(FREE, text + more) == program_text(FREE, text)


def test_a_string_continued_over_a_crlf_is_one_string() -> None:
    text = "\r\n    x = 'a\\\r\nb'\r\n    return x\r\n"
    ast.parse(HEADER + text)
    assert program_text(BODY, text) == text


@pytest.mark.parametrize("text", ["\n    return (a\n@ b)\n", "\n    return (yield\nfrom b)\n"])
def test_operators_at_column_0_of_an_open_bracket_end_nothing(text: str) -> None:
    ast.parse(HEADER + text)
    assert program_text(BODY, text) == text


def test_an_async_function_ends_an_unclosed_bracket() -> None:
    assert program_text(BODY, "\n    x = (\nasync def g():\n    pass\n") == "\n    x = (\n"
