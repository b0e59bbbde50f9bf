"""The published sets as they come out of their readers. The counts are those of docs/task-format.md."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from linewise.errors import TaskError
from linewise.tasks import load_tasks
from linewise.tasks.humaneval import humaneval_task
from linewise.tasks.jsonl import task_from_json, task_to_json
from linewise.tasks.mbpp import mbpp_task
from linewise.tasks.odex import load_odex, odex_task
from linewise.types import AssertTest, CallTest, Task


def kinds(tasks: list[Task]) -> dict[str, int]:
    return dict(Counter(type(test).__name__ for task in tasks for test in task.tests))


def test_mbpp_row() -> None:
    task = mbpp_task(
        {
            "task_id": 700,
            "text": " Double it. ",
            "code": "import math\r\ndef twice(x, by=2):\r\n\treturn by * x\r\n",
            "test_list": ["assert twice(2) == 4\r\n", " assert abs(twice(.1) - .2) < 1e-9"],
            "test_setup_code": "a = 1\r\nb = 2",
            "challenge_test_list": ["assert twice(0) == 0"],
        }
    )
    assert task == Task(
        id="mbpp/700",
        prompt="Double it.",
        tests=(
            CallTest(call="twice(2)", expected="4", example=True),
            AssertTest(code="assert abs(twice(0.1) - 0.2) < 1e-09", example=True),
            CallTest(call="twice(0)", expected="0"),
        ),
        entry_point="twice",
        signature="def twice(x, by=2):",
        setup="a = 1\nb = 2",
        reference="import math\ndef twice(x, by=2):\n\treturn by * x\n",
        metadata={"split": "train", "source": "mbpp", "license": "CC-BY-4.0"},
    )


def test_humaneval_row() -> None:
    head = "import math\n\n\ndef helper(x):\n    '''Helps.'''\n    return x  # kept\n\n\ndef f(x: int) -> int:"
    row = {
        "task_id": "HumanEval/0",
        "prompt": f'\n{head}\n    # a comment\n    """Return x.\n    >>> f(1)\n    1\n    """\n',
        "entry_point": "f",
        "canonical_solution": "    return helper(x)\n",
        "test": "METADATA = {}\n\ndef check(candidate):\n    assert True\n    assert candidate(1) == 1, 'one'\n",
    }
    task = humaneval_task(row)
    assert task == Task(
        id="HumanEval/0",
        prompt="Return x.\n>>> f(1)\n1",
        tests=(CallTest(call="f(1)", expected="1"),),
        entry_point="f",
        signature=head,
        reference=row["prompt"] + row["canonical_solution"],
        metadata={"split": "test", "source": "humaneval", "license": "MIT"},
    )
    late = humaneval_task({**row, "prompt": "def f(x):\n    import math\n    'Late.'\n    helper = abs\n"})
    assert (late.prompt, late.signature) == ("Late.", "def f(x):")
    with pytest.raises(TaskError, match="must have a docstring"):
        humaneval_task({**row, "prompt": "def f(x):\n    helper = abs\n"})
    with pytest.raises(TaskError, match="must define a function 'g'"):
        humaneval_task({**row, "entry_point": "g"})


def test_odex_row() -> None:
    row: dict[str, Any] = {
        "task_id": 12,
        "intent": "join `a`",
        "prompt": "def f_12(a, b={1: 2}):\n\treturn ",
        "canonical_solution": "''.join(a)",
        "suffix": "",
        "entry_point": "f_12",
        "test_start": "\nimport re \n\ndef check(candidate): ",
        "test": ["\n    assert candidate(['a']) == 'a'\n", "\n    x = []\n    assert candidate(x) == ''\n"],
        "library": ["re", "numpy"],
    }
    assert odex_task(row) == Task(
        id="odex/12",
        prompt="join `a`",
        tests=(CallTest(call="f_12(['a'])", expected="'a'"), AssertTest(code="x = []\nassert f_12(x) == ''")),
        entry_point="f_12",
        signature="def f_12(a, b={1: 2}):",
        setup="import re",
        reference="def f_12(a, b={1: 2}):\n    return ''.join(a)\n",
        metadata={"split": "library", "source": "odex", "license": "CC-BY-SA-4.0", "library": "re,numpy"},
    )
    assert odex_task({**row, "library": []}).metadata["split"] == "plain"


def test_mbpp(data: Path) -> None:
    assert data.is_dir()
    tasks = load_tasks("mbpp")
    assert kinds(tasks) == {"CallTest": 2932, "AssertTest": 6}
    assert {split: len(load_tasks(f"mbpp@{split}")) for split in ("prompt", "test", "validation", "train")} == {
        "prompt": 10,
        "test": 500,
        "validation": 90,
        "train": 374,
    }
    assert {task.id for task in tasks for test in task.tests if isinstance(test, AssertTest)} == {
        "mbpp/414",
        "mbpp/596",
    }
    assert all(task.signature and task.entry_point and "\r" not in str(task) for task in tasks)
    assert [task.id for task in tasks if task.setup and "Node" in task.setup] == ["mbpp/367", "mbpp/927"]


def test_humaneval(data: Path) -> None:
    tasks = load_tasks(f"humaneval:{data}/humaneval/HumanEval.jsonl.gz")
    assert len(tasks) == 164
    assert kinds(tasks) == {"CallTest": 1119, "AssertTest": 14}
    assert all(task.prompt and task.signature and not task.example_tests for task in tasks)
    assert {task.id: task.setup and "def " in task.setup for task in tasks if task.setup} == {
        "HumanEval/32": True,
        "HumanEval/38": True,
        "HumanEval/50": True,
    }
    for task in tasks:
        assert task.reference is not None
        assert task.signature is not None
        assert task.reference.lstrip("\n").startswith(task.signature)


def test_odex(data: Path) -> None:
    assert kinds(load_tasks("odex")) == {"CallTest": 320, "AssertTest": 152}
    assert [len(load_tasks(spec)) for spec in ("odex", "odex@plain", "odex@library", "odex@all")] == [
        209,
        209,
        230,
        439,
    ]
    everything = load_odex(data / "odex/en_test.jsonl")
    assert len({task.id for task in everything}) == 439
    assert {task.id for task in everything} >= {"odex/364621", "odex/364621#2", "odex/364621#3"}


@pytest.mark.parametrize("spec", ["starter", "mbpp", "odex@all", "humaneval", "quixbugs"])
def test_every_task_keeps_the_rules_of_the_format(data: Path, spec: str) -> None:
    assert data.is_dir()
    for task in load_tasks(spec):
        assert task_from_json(task_to_json(task), task.id) == task
