"""The built-in task set: small Python functions with tests, a training and a held-out part.

One TOML file a topic. A table `[family.split.name]` is one task; the function is called `name`:

    [text-ends.train.last_character]
    level = 1
    prompt = "Return the last character of text, or an empty string for an empty text."
    signature = "(text: str) -> str"
    body = "return text[-1:]"
    example = "'hello' -> 'o'"
    hidden = '''
    'a' -> 'a'
    '' -> ''
    '''

A test is `arguments -> expected`. Expected values are written by hand and the tests run every reference against them.
docs/starter-tasks.md states the rules that the set keeps.
"""

import tomllib
from collections.abc import Iterator, Sequence
from importlib import resources
from textwrap import indent
from typing import Any

from linewise.types import CallTest, Limits, Task

__all__ = ["EASY", "HARD", "load_starter"]

EASY = (0, 1)
"""Difficulties of the set `starter`: one operation, one idea."""
HARD = (2, 3)
"""Difficulties of the set `starter-hard`: several ideas, a branch or a loop; state, recursion, parsing."""

LIMITS = Limits(cpu_seconds=0.5, total_cpu_seconds=1.0)
"""References take milliseconds; an endless loop must not cost more than what it teaches."""


def load_starter(difficulties: Sequence[int] = (*EASY, *HARD)) -> list[Task]:
    """The starter tasks of these difficulties, ordered by topic, family and split.

    Each has the metadata `topic`, `family`, `split` ("train" or "heldout"), `difficulty` ("0" to "3"), `source` and
    `license`.
    """
    wanted = {str(difficulty) for difficulty in difficulties}
    files = sorted(resources.files(__name__).iterdir(), key=lambda file: file.name)
    return [
        task
        for file in files
        if file.name.endswith(".toml")
        for task in _tasks(file.name.removesuffix(".toml"), tomllib.loads(file.read_text(encoding="utf-8")))
        if task.metadata["difficulty"] in wanted
    ]


def _tasks(topic: str, families: dict[str, Any]) -> Iterator[Task]:
    """The tasks of one topic: family -> split -> function name -> fields."""
    for family, splits in families.items():
        for split, functions in splits.items():
            for name, fields in functions.items():
                yield _task(name, fields, topic=topic, family=family, split=split)


def _task(name: str, fields: dict[str, Any], *, topic: str, family: str, split: str) -> Task:
    signature = f"def {name}{fields['signature']}:"
    tolerance = fields.get("tolerance")
    hidden = [_call_test(name, line, tolerance, example=False) for line in fields["hidden"].strip().splitlines()]
    return Task(
        id=f"starter/{family}/{name}",
        prompt=fields["prompt"],
        tests=(_call_test(name, fields["example"], tolerance, example=True), *hidden),
        entry_point=name,
        signature=signature,
        reference=f"{signature}\n{indent(fields['body'].strip(), '    ')}\n",
        limits=LIMITS,
        metadata={
            "topic": topic,
            "family": family,
            "split": split,
            "difficulty": str(fields["level"]),
            "source": "linewise",
            "license": "Apache-2.0",
        },
    )


def _call_test(name: str, line: str, tolerance: float | None, *, example: bool) -> CallTest:
    """`"2, 3 -> 5"` for `add` is the test `add(2, 3) == 5`."""
    arguments, _, expected = line.rpartition(" -> ")
    return CallTest(
        call=f"{name}({arguments.strip()})", expected=expected.strip(), example=example, tolerance=tolerance
    )
