"""A task whose entry point is a method: the docstring stands inside the method, and the program ends after the class."""

import ast

from linewise.policy.scripted import ScriptedPolicy
from linewise.rollout.program import extract_program
from linewise.rollout.prompts import PromptOptions, PromptStyle, build_prompt
from linewise.types import CallTest, Task

TASK = Task(
    id="t",
    prompt="Double it.\n\nWhatever it is.",
    entry_point="Solution.double",
    signature="import math\n\n\nclass Solution:\n    def double(self, x: int) -> int:",
    tests=(CallTest(call="Solution().double(2)", expected="4"),),
)


def test_docstring_and_end_of_a_method() -> None:
    prompt = build_prompt(TASK, ScriptedPolicy(answers=lambda _: [""]), PromptOptions(style=PromptStyle.COMPLETION))
    program = extract_program(prompt, "\n        return 2 * x\n\n    def more(self):\n        pass\n\nprint(1)\n")
    assert "print" not in program.source
    _, definition = ast.parse(program.source).body
    assert isinstance(definition, ast.ClassDef)
    first, second = definition.body
    assert isinstance(first, ast.FunctionDef)
    assert isinstance(second, ast.FunctionDef)
    assert ast.get_docstring(first) == TASK.prompt
    assert (first.name, second.name) == ("double", "more")
