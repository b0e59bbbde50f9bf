"""Tasks and scripted policies for the tests of labelling."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from linewise.judge import LocalJudge
from linewise.policy.scripted import ScriptedPolicy
from linewise.prm.label import LabelOptions
from linewise.prm.labels import Selection
from linewise.rollout.prompts import PromptOptions, PromptStyle
from linewise.types import CallTest, Prompt, Sampling, Task

DATA = Path(os.environ.get("LINEWISE_DATA", Path(__file__).parents[2] / "../shared/data"))

SUM = Task(
    id="sum",
    prompt="Add the numbers from 1 to n.",
    entry_point="total",
    signature="def total(n):",
    reference="def total(n):\n    result = 0\n    for i in range(1, n + 1):\n        result += i\n    return result\n",
    tests=(CallTest(call="total(3)", expected="6"), CallTest(call="total(0)", expected="0")),
)
RIGHT = "\n    result = 0\n    for i in range(1, n + 1):\n        result += i\n    return result\n"
WRONG_AT_3 = "\n    result = 0\n    # count\n    for i in range(n):\n        result += i\n    return result\n"
WRONG_AT_1 = "\n    result = 1\n    for i in range(1, n + 1):\n        result += i\n    return result\n"
RIGHT_WITH_COMMENT = RIGHT.replace("0\n", "0\n    # count\n", 1)


def scripted(samples: Sequence[str], solutions: Sequence[str]) -> ScriptedPolicy:
    """Samples the given programs, and continues a beginning by a solution that begins so; otherwise with nonsense."""

    def answers(prompt: Prompt) -> Sequence[str]:
        if prompt.begun is None:
            return samples
        rest = [one[len(prompt.begun.text) :] for one in solutions if one.startswith(prompt.begun.text)]
        return rest or ["\n    return None\n"]

    return ScriptedPolicy(answers=answers)


def options(**changes: object) -> LabelOptions:
    settings: dict[str, object] = {
        "num_samples": 4,
        "num_completions": 2,
        "first_chunk": 1,
        "audits": 0,
        "selection": Selection.FULL,
        "sampling": Sampling(max_new_tokens=4000),
        "prompts": PromptOptions(style=PromptStyle.COMPLETION),
    }
    return LabelOptions(**{**settings, **changes})  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def judge() -> Iterator[LocalJudge]:
    with LocalJudge(workers=1) as one:
        yield one
