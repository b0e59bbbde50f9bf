"""MBPP (Austin et al. 2021, arXiv:2108.07732): 974 small problems with three assertions each; CC-BY-4.0."""

import ast
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from linewise.errors import TaskError
from linewise.tasks.assertions import called_name, convert_assertion, functions_of, signature_of
from linewise.tasks.sources import Benchmark
from linewise.types import AssertTest, Task, TestCase

SPLITS = {"prompt": range(1, 11), "test": range(11, 511), "validation": range(511, 601), "train": range(601, 975)}
"""Split -> task ids, as the paper has them."""
KEPT_AS_CODE = frozenset({414})
"""Tasks whose assertions stay code: the reference returns 0 and 1 where they say False and True, equal under `==`."""


def load_mbpp(path: Path | None = None) -> list[Task]:
    """All splits. The three assertions of a task are examples, as the benchmark's prompt shows them."""
    return MBPP.load(path)


def mbpp_task(row: Mapping[str, Any]) -> Task:
    """One task. Set-up code runs after the program, because in two tasks it uses a class that the program defines."""
    number = int(row["task_id"])
    reference = _newlines(row["code"]).strip("\n") + "\n"
    functions = functions_of(reference)
    shown, challenge = _statements(row["test_list"]), _statements(row["challenge_test_list"])
    entry_point = called_name([*shown, *challenge], functions)
    return Task(
        id=f"mbpp/{number}",
        prompt=row["text"].strip(),
        tests=(
            *(_test(statement, number, functions, example=True) for statement in shown),
            *(_test(statement, number, functions, example=False) for statement in challenge),
        ),
        entry_point=entry_point,
        signature=None if entry_point is None else signature_of(reference, entry_point),
        setup=_newlines(row["test_setup_code"]).strip("\n") or None,
        reference=reference,
        metadata={"split": split_of(number), "source": "mbpp", "license": "CC-BY-4.0"},
    )


def split_of(number: int) -> str:
    """The paper's split of a task id. Raises TaskError for an id that is not in the data set."""
    for name, ids in SPLITS.items():
        if number in ids:
            return name
    raise TaskError(f"task_id {number} is not in MBPP, whose ids are 1 to 974.")


def _newlines(code: str) -> str:
    """Published code has carriage returns."""
    return code.replace("\r\n", "\n").replace("\r", "\n")


def _statements(assertions: list[str]) -> list[ast.stmt]:
    return [statement for assertion in assertions for statement in ast.parse(_newlines(assertion).strip()).body]


def _test(statement: ast.stmt, number: int, functions: frozenset[str], *, example: bool) -> TestCase:
    if number in KEPT_AS_CODE:
        return AssertTest(code=ast.unparse(statement), example=example)
    return convert_assertion(statement, functions, example=example)


MBPP = Benchmark(
    file="mbpp/mbpp.jsonl",
    hub_id="google-research-datasets/mbpp",
    config="full",
    hub_splits=("prompt", "test", "validation", "train"),
    fields={
        "task_id": int,
        "text": str,
        "code": str,
        "test_list": list,
        "test_setup_code": str,
        "challenge_test_list": list,
    },
    convert=mbpp_task,
)
