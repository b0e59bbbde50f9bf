r"""How a task becomes a prompt.

A completion-style prompt never ends in a newline: in most vocabularies a newline and the indentation after it are one
token, which a prompt ending in "\n" would tear apart.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from linewise.types import AssertTest, CallTest, Prompt, StdinTest, Task, TestCase


class ChatRenderer(Protocol):
    """What a prompt needs of a policy, or of any other model that reads one."""

    def render_chat(self, messages: Sequence[Mapping[str, str]]) -> str | None:
        """The messages in the model's chat template, ready for the assistant's answer; None without a template."""


class PromptStyle(StrEnum):
    """Styles of prompts."""

    AUTO = "auto"
    """CHAT for a policy with a chat template, else COMPLETION."""
    COMPLETION = "completion"
    """The signature and a docstring, to be continued; for base models, and the shortest."""
    CHAT = "chat"
    """A user asks in the chat template to complete the function; the answer is begun with a code fence and the function."""
    MBPP = "mbpp"
    """The prompt of RLTF for MBPP: the description, then "Your code should satisfy these tests:" and the examples."""
    APPS = "apps"
    """The prompt of APPS, as CodeRL and RLTF use it."""
    BARE = "bare"
    """The task's words alone; for scripted policies, which answer with whole programs."""


@dataclass(frozen=True, kw_only=True)
class PromptOptions:
    """What a prompt shows of a task."""

    style: PromptStyle = PromptStyle.AUTO
    """How a task becomes a prompt."""
    num_examples: int = 0
    """Most example tests shown; hidden tests never are."""

    def __post_init__(self) -> None:
        """Refuses a number that slicing would count from the end."""
        if self.num_examples < 0:
            raise ValueError(f"prompts.num_examples={self.num_examples} must be 0 or more.")


def build_prompt(task: Task, policy: ChatRenderer, options: PromptOptions) -> Prompt:
    """The prompt of a task.

    Raises ValueError for style CHAT with a policy that has no chat template.
    """
    style = options.style
    if style is PromptStyle.AUTO:
        has_template = policy.render_chat([{"role": "user", "content": ""}]) is not None
        style = PromptStyle.CHAT if has_template else PromptStyle.COMPLETION
    examples = task.example_tests[: options.num_examples]
    match style:
        case PromptStyle.COMPLETION:
            return _completion(task, examples)
        case PromptStyle.CHAT:
            return _chat(task, policy, examples)
        case PromptStyle.MBPP:
            lines = [task.prompt.strip(), "Your code should satisfy these tests:", *map(show_test, examples)]
            return Prompt(
                task_id=task.id, text="\n".join(lines) + "\n" + (task.signature or ""), header=task.signature or ""
            )
        case PromptStyle.APPS:
            kind = "Standard Input" if any(isinstance(test, StdinTest) for test in task.tests) else "Call-Based"
            text = f"\nQUESTION:\n{task.prompt}\n{task.signature or ''}\nUse {kind} format\nANSWER:\n"
            return Prompt(task_id=task.id, text=text)
        case _:
            return Prompt(task_id=task.id, text=task.prompt)


def show_test(test: TestCase) -> str:
    """One test as a line (or lines) that a model can read."""
    match test:
        case CallTest():
            return f"assert {test.call} == {test.expected}"
        case AssertTest():
            return test.code.strip()
        case StdinTest():
            return f"input:\n{test.input.rstrip()}\noutput:\n{test.expected.rstrip()}"


def _completion(task: Task, examples: Sequence[TestCase]) -> Prompt:
    header = _function_head(task, examples)
    if header is not None:
        return Prompt(task_id=task.id, text=header, header=header)
    lines = [*task.prompt.strip().splitlines(), *(line for test in examples for line in show_test(test).splitlines())]
    return Prompt(task_id=task.id, text="\n".join(f"# {line}" for line in lines))


def _chat(task: Task, policy: ChatRenderer, examples: Sequence[TestCase]) -> Prompt:
    header = _function_head(task, examples)
    if header is None:
        words = "\n\n".join([task.prompt.strip(), *map(show_test, examples)])
    else:
        words = f"Complete this function:\n{header}"
    rendered = policy.render_chat([{"role": "user", "content": words}])
    if rendered is None:
        raise ValueError(
            "The prompt style 'chat' needs a chat template, and this policy has none. Use the style 'completion'."
        )
    opening = "```python" if header is None else f"```python\n{header}"
    return Prompt(task_id=task.id, text=rendered + opening, header=header or "", special_tokens=False, fenced=True)


def _function_head(task: Task, examples: Sequence[TestCase]) -> str | None:
    """Signature and docstring, ready for a body; None for a task without a signature.

    The signature of a method is indented, and so its docstring is indented further.
    """
    if task.signature is None:
        return None
    words = task.prompt.strip()
    if examples:
        words += "\n\n" + "\n".join(map(_doctest, examples))
    docstring = words.replace("\\", "\\\\").replace('"""', r"\"\"\"")
    if docstring.endswith('"'):
        docstring += " "
    indent = re.match(r"[ \t]*", task.signature[task.signature.rfind("\n") + 1 :])[0] + "    "  # type: ignore[index]
    lines = [indent + line if line else "" for line in docstring.split("\n")]
    closing = "\n" + indent if len(lines) > 1 else ""
    return f'{task.signature}\n{indent}"""{chr(10).join(lines).lstrip()}{closing}"""'


def _doctest(test: TestCase) -> str:
    return f">>> {test.call}\n{test.expected}" if isinstance(test, CallTest) else show_test(test)
