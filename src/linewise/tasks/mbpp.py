"""MBPP (Austin et al. 2021, arXiv:2108.07732): 974 small problems with three assertions each; CC-BY-4.0."""

import ast
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from linewise.tasks.assertions import called_name, convert_assertion, functions_of, signature_of
from linewise.tasks.sources import hub_rows, local_file, read_rows
from linewise.types import AssertTest, Task, TestCase

HUB_ID = "google-research-datasets/mbpp"
FILE = "mbpp/mbpp.jsonl"
SPLITS = {"prompt": range(1, 11), "test": range(11, 511), "validation": range(511, 601), "train": range(601, 975)}
"""Split -> task ids, as the paper has them."""
KEPT_AS_CODE = {414}
"""Tasks whose assertions stay code: the reference returns 0 and 1 where they say False and True, which `==` lets pass."""


def load_mbpp(path: Path | None = None) -> list[Task]:
    """All splits. The three assertions of a task are examples, as the benchmark's prompt shows them; the rest is hidden."""
    file = local_file(FILE, path)
    rows: Iterable[dict[str, Any]] = (
        read_rows(file) if file else (row for split in SPLITS for row in hub_rows(HUB_ID, split, file=FILE))
    )
    return [task_from_row(row) for row in rows]


def task_from_row(row: dict[str, Any]) -> Task:
    """One task. Carriage returns in the published code are dropped; set-up code runs after the program."""
    number = int(row["task_id"])
    # The hub's release calls the code "code" and the description "text" or "prompt".
    reference = row["code"].replace("\r\n", "\n").replace("\r", "\n").strip("\n") + "\n"
    tests = (
        *_tests(row["test_list"], number, example=True),
        *_tests(row.get("challenge_test_list", []), number, example=False),
    )
    entry_point = called_name(tests, functions_of(reference))
    return Task(
        id=f"mbpp/{number}",
        prompt=(row.get("text") or row["prompt"]).strip(),
        tests=tests,
        entry_point=entry_point,
        signature=None if entry_point is None else signature_of(reference, entry_point),
        setup=row.get("test_setup_code", "").replace("\r\n", "\n") or None,
        reference=reference,
        metadata={
            "split": next(name for name, ids in SPLITS.items() if number in ids),
            "source": "mbpp",
            "license": "CC-BY-4.0",
        },
    )


def _tests(assertions: Iterable[str], number: int, *, example: bool) -> list[TestCase]:
    if number in KEPT_AS_CODE:
        return [AssertTest(code=assertion.strip(), example=example) for assertion in assertions]
    return [
        convert_assertion(statement, example=example)
        for assertion in assertions
        for statement in ast.parse(assertion.strip()).body
    ]
