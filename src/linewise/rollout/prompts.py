r"""How a task becomes a prompt.

A completion-style prompt never ends in a newline: in most vocabularies a newline and the indentation after it are one
token, which a prompt ending in "\n" would tear apart.
"""

from enum import StrEnum

from linewise.types import AssertTest, CallTest, Policy, Prompt, StdinTest, Task, TestCase


class PromptStyle(StrEnum):
    """Styles of prompts."""

    AUTO = "auto"
    """CHAT for a policy with a chat template, else COMPLETION."""
    COMPLETION = "completion"
    """The signature and a docstring, to be continued; for base models, and the shortest."""
    CHAT = "chat"
    """A user's message in the chat template; the answer is begun with a code fence and the signature."""
    APPS = "apps"
    """The prompt of APPS, as CodeRL and RLTF use it."""
    BARE = "bare"
    """The task's words alone; for scripted policies, which answer with whole programs."""


def build_prompt(task: Task, policy: Policy, style: PromptStyle, *, max_example_tests: int = 3) -> Prompt:
    """The prompt of a task in a style.

    Raises ValueError for style CHAT with a policy that has no chat template.
    """
    if style is PromptStyle.AUTO:
        has_template = policy.render_chat([{"role": "user", "content": ""}]) is not None
        style = PromptStyle.CHAT if has_template else PromptStyle.COMPLETION
    examples = [show_test(test) for test in task.example_tests[:max_example_tests]]
    match style:
        case PromptStyle.CHAT:
            return _chat(task, policy, examples)
        case PromptStyle.APPS:
            kind = "Standard Input" if any(isinstance(test, StdinTest) for test in task.tests) else "Call-Based"
            starter = task.signature or ""
            text = f"\nQUESTION:\n{task.prompt}\n{starter}\nUse {kind} format\nANSWER:\n"
            return Prompt(task_id=task.id, text=text)
        case PromptStyle.BARE:
            return Prompt(task_id=task.id, text=task.prompt)
        case _:
            return _completion(task, examples)


def show_test(test: TestCase) -> str:
    """One test as a line (or lines) that a model can read."""
    match test:
        case CallTest():
            return f"assert {test.call} == {test.expected}"
        case AssertTest():
            return test.code.strip()
        case StdinTest():
            return f"input:\n{test.input.rstrip()}\noutput:\n{test.expected.rstrip()}"


def _completion(task: Task, examples: list[str]) -> Prompt:
    if task.signature is None:
        lines = [*task.prompt.strip().splitlines(), *(line for example in examples for line in example.splitlines())]
        return Prompt(task_id=task.id, text="\n".join(f"# {line}" for line in lines))
    words = task.prompt.strip()
    if examples:
        words += "\n\n" + "\n".join(examples)
    docstring = words.replace("\\", "\\\\").replace('"""', r"\"\"\"")
    if docstring.endswith('"'):
        docstring += " "
    indented = docstring.replace("\n", "\n    ").replace("\n    \n", "\n\n")
    closing = "\n    " if "\n" in docstring else ""
    header = f'{task.signature}\n    """{indented}{closing}"""'
    return Prompt(task_id=task.id, text=header, header=header)


def _chat(task: Task, policy: Policy, examples: list[str]) -> Prompt:
    words = task.prompt.strip()
    if examples:
        words += "\n\nYour code should satisfy these tests:\n" + "\n".join(examples)
    rendered = policy.render_chat([{"role": "user", "content": words}])
    if rendered is None:
        raise ValueError(
            "The prompt style 'chat' needs a chat template, and this policy has none. Use the style 'completion'."
        )
    header = task.signature or ""
    opening = "```python\n" + header if header else "```python"
    return Prompt(task_id=task.id, text=rendered + opening, header=header, special_tokens=False, fenced=True)
