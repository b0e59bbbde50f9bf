"""Every prompt style: what it shows, what it hides and that code can follow it."""

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from linewise.policy import ScriptedPolicy
from linewise.rollout.program import extract_program, is_complete
from linewise.rollout.prompts import PromptOptions, PromptStyle, build_prompt, show_test
from linewise.types import AssertTest, CallTest, StdinTest, Task

# A busy machine is no fault of the code.
STEADY = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


@dataclass(frozen=True, kw_only=True)
class ChatPolicy(ScriptedPolicy):
    """A policy with a chat template."""

    def render_chat(self, messages: Sequence[Mapping[str, str]]) -> str:
        return "".join(f"<{message['role']}>{message['content']}</>" for message in messages) + "<assistant>"


PLAIN = ScriptedPolicy(answers=lambda prompt: [""])
CHAT = ChatPolicy(answers=lambda prompt: [""])
SIGNATURE = "def add(a, b):"
TASK = Task(
    id="add",
    prompt="Add two numbers.\n",
    tests=(
        CallTest(call="add(902, 1)", expected="903"),
        CallTest(call="add(1, 1)", expected="2", example=True),
        CallTest(call="add(904, 1)", expected="905", tolerance=1e-6),
        AssertTest(code="\nassert add(2, 1) == 3\n", example=True),
        AssertTest(code="assert add(906, 1) == 907"),
        StdinTest(input="5 6\n", expected="11\n", example=True),
        StdinTest(input="908 1\n", expected="909\n"),
    ),
    entry_point="add",
    signature=SIGNATURE,
    setup="import hidden_910",
    reference="def add(a, b):\n    return a + b + 0 * 911\n",
    metadata={"split": "train912"},
)
FREE_TASK = replace(TASK, signature=None)
HIDDEN = [str(number) for number in range(901, 913)]


@pytest.mark.parametrize("style", PromptStyle)
@pytest.mark.parametrize("task", [TASK, FREE_TASK])
@pytest.mark.parametrize("num_examples", [0, 1, 2, 3, 99])
def test_hidden_tests_never_appear(style: PromptStyle, task: Task, num_examples: int) -> None:
    prompt = build_prompt(task, CHAT, PromptOptions(style=style, num_examples=num_examples))
    assert not [number for number in HIDDEN if number in prompt.text + prompt.header]
    shown = [text in prompt.text for text in ("add(1, 1)", "assert add(2, 1) == 3", "5 6")]
    if style in (PromptStyle.APPS, PromptStyle.BARE):
        assert shown == [False] * 3, "these two show no tests at all"
    else:
        assert shown == [place < num_examples for place in range(3)], "the first examples, in order"
    assert prompt.task_id == "add"
    assert "Add two numbers." in prompt.text


@pytest.mark.parametrize("policy", [PLAIN, CHAT])
@pytest.mark.parametrize("style", PromptStyle)
@pytest.mark.parametrize("task", [TASK, FREE_TASK])
def test_the_prompt_ends_with_its_header(policy: ScriptedPolicy, style: PromptStyle, task: Task) -> None:
    if policy is PLAIN and style is PromptStyle.CHAT:
        pytest.skip("there is no chat template")
    prompt = build_prompt(task, policy, PromptOptions(style=style, num_examples=3))
    assert prompt.text.endswith(prompt.header)
    assert not prompt.header.endswith(("\n", " "))
    if task.signature is None:
        assert prompt.header == ""
    chat = policy is CHAT and style in (PromptStyle.CHAT, PromptStyle.AUTO)
    assert prompt.fenced is chat
    assert prompt.special_tokens is not chat, "a rendered template holds them already"


def test_completion_style_by_hand() -> None:
    prompt = build_prompt(TASK, PLAIN, PromptOptions(style=PromptStyle.COMPLETION, num_examples=2))
    lines = [
        SIGNATURE,
        '    """Add two numbers.',
        "",
        "    >>> add(1, 1)",
        "    2",
        "    assert add(2, 1) == 3",
        '    """',
    ]
    assert prompt.text == prompt.header == "\n".join(lines)
    short = build_prompt(TASK, PLAIN, PromptOptions(style=PromptStyle.COMPLETION))
    assert short.text == f'{SIGNATURE}\n    """Add two numbers."""'


def test_completion_style_without_a_signature_is_a_comment() -> None:
    task = replace(FREE_TASK, prompt="Read two numbers.\nPrint their sum.\n")
    prompt = build_prompt(task, PLAIN, PromptOptions(style=PromptStyle.COMPLETION, num_examples=1))
    assert prompt.text == "# Read two numbers.\n# Print their sum.\n# assert add(1, 1) == 2"
    assert prompt.header == ""


def test_chat_style_by_hand() -> None:
    prompt = build_prompt(TASK, CHAT, PromptOptions(style=PromptStyle.CHAT))
    header = f'{SIGNATURE}\n    """Add two numbers."""'
    assert prompt.header == header
    assert prompt.text == f"<user>Complete this function:\n{header}</><assistant>```python\n{header}"
    free = build_prompt(FREE_TASK, CHAT, PromptOptions(style=PromptStyle.CHAT, num_examples=1))
    assert free.text == "<user>Add two numbers.\n\nassert add(1, 1) == 2</><assistant>```python"
    assert free.fenced


def test_mbpp_apps_and_bare_styles_by_hand() -> None:
    mbpp = build_prompt(TASK, PLAIN, PromptOptions(style=PromptStyle.MBPP, num_examples=1))
    assert mbpp.text == f"Add two numbers.\nYour code should satisfy these tests:\nassert add(1, 1) == 2\n{SIGNATURE}"
    assert mbpp.header == SIGNATURE
    apps = PromptOptions(style=PromptStyle.APPS)
    standard = build_prompt(FREE_TASK, PLAIN, apps)
    assert standard.text == "\nQUESTION:\nAdd two numbers.\n\n\nUse Standard Input format\nANSWER:\n"
    calls = build_prompt(replace(TASK, tests=TASK.tests[:2]), PLAIN, apps)
    assert calls.text == f"\nQUESTION:\nAdd two numbers.\n\n{SIGNATURE}\nUse Call-Based format\nANSWER:\n"
    bare = build_prompt(TASK, PLAIN, PromptOptions(style=PromptStyle.BARE, num_examples=3))
    assert (bare.text, bare.header) == (TASK.prompt, "")


def test_auto_follows_the_chat_template() -> None:
    auto = PromptOptions(num_examples=2)
    for policy, style in ((PLAIN, PromptStyle.COMPLETION), (CHAT, PromptStyle.CHAT)):
        assert build_prompt(TASK, policy, auto) == build_prompt(TASK, policy, replace(auto, style=style))


@pytest.mark.parametrize("task", [TASK, FREE_TASK])
def test_chat_without_a_template_is_refused(task: Task) -> None:
    with pytest.raises(ValueError, match=r"'chat' needs a chat template.*'completion'"):
        build_prompt(task, PLAIN, PromptOptions(style=PromptStyle.CHAT))


def test_tests_as_a_model_reads_them() -> None:
    assert show_test(CallTest(call="f(1)", expected="[2]", tolerance=0.1)) == "assert f(1) == [2]"
    assert show_test(AssertTest(code="\nassert f(1)\n")) == "assert f(1)"
    assert show_test(StdinTest(input="1\n2\n", expected="3\n\n")) == "input:\n1\n2\noutput:\n3"


# Source holds neither surrogates nor NUL.
CHARACTERS = st.characters(exclude_categories=["Cs"], exclude_characters="\x00")
AWKWARD = [
    '"',
    '""',
    '"""',
    "'''",
    "\\",
    "\\\\",
    '\\"',
    "\\N",
    "\\x",
    "\\u12",
    "\n",
    "\r",
    "\r\n",
    "\n\n    ",
    "\t",
    "\x0c",
]
AWKWARD += ["\u2028", "\x85", "#", "(", "[", "{x}", "%s", "x", " ", "return 1", "def g():", "```", "é", "🙂"]
WORDS = st.lists(st.sampled_from(AWKWARD) | st.text(CHARACTERS, max_size=4), max_size=12).map("".join)
EXAMPLES = st.lists(
    st.builds(CallTest, call=WORDS, expected=WORDS, example=st.just(True))
    | st.builds(AssertTest, code=WORDS, example=st.just(True))
    | st.builds(StdinTest, input=WORDS, expected=WORDS, example=st.just(True)),
    max_size=2,
).map(tuple)


@STEADY
@given(words=WORDS, tests=EXAMPLES, chat=st.booleans())
def test_any_words_make_a_valid_function_head(words: str, tests: tuple[CallTest, ...], chat: bool) -> None:
    task = Task(id="t", prompt=words, tests=tests, signature=SIGNATURE)
    prompt = build_prompt(task, CHAT if chat else PLAIN, PromptOptions(num_examples=2))
    assert prompt.text.endswith('"""')
    source = prompt.header + "\n    pass"
    compile(source, "<header>", "exec")
    (function,) = ast.parse(source).body
    assert isinstance(function, ast.FunctionDef)
    assert len(function.body) == 2
    shown = [words] + [f">>> {t.call}\n{t.expected}" if isinstance(t, CallTest) else show_test(t) for t in tests]
    docstring = ast.get_docstring(function, clean=False)
    assert docstring is not None
    assert docstring.split() == " ".join(shown).split(), "every word is there, as it was"


@STEADY
@given(words=WORDS, tests=EXAMPLES)
def test_any_words_leave_the_end_of_the_program_in_sight(words: str, tests: tuple[CallTest, ...]) -> None:
    task = Task(id="t", prompt=words, tests=tests, signature=SIGNATURE)
    prompt = build_prompt(task, PLAIN, PromptOptions(num_examples=2))
    program = extract_program(prompt, "\n    return a\nprint(1)")
    assert program.source == prompt.header + "\n    return a\n"
    assert is_complete(prompt, "\n    return a\np")
    assert not is_complete(prompt, "\n    return a\n")


@STEADY
@given(words=WORDS, tests=EXAMPLES)
def test_any_words_without_a_signature_are_comments(words: str, tests: tuple[CallTest, ...]) -> None:
    prompt = build_prompt(Task(id="t", prompt=words, tests=tests), PLAIN, PromptOptions(num_examples=2))
    assert not prompt.text.endswith(("\n", "\r"))
    assert ast.parse(prompt.text + "\nx = 1\n").body[0].lineno == len(prompt.text.split("\n")) + 1
    assert len(ast.parse(prompt.text + "\nx = 1\n").body) == 1
