"""ODEX (Wang et al. 2022, arXiv:2212.10481), English: one-expression functions from Stack Overflow; CC-BY-SA-4.0."""

import ast
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from linewise.errors import TaskError
from linewise.tasks.check_function import hidden_tests
from linewise.tasks.sources import Benchmark
from linewise.types import Task, TestCase

SAME_PROCESS = frozenset({1807026, 16041405, 13368659})
"""Their assertions need the program's process: a class of the set-up code that it uses, the exact type of a generator, and
a value of more than a megabyte."""


def load_odex(path: Path | None = None) -> list[Task]:
    """All tasks; the split is `plain` for those that import no library, else `library`.

    ODEX itself has one split only. Several of its rows may answer one question; the second gets the id `odex/ID#2`.
    """
    tasks: list[Task] = []
    rows = Counter[str]()
    for task in ODEX.load(path):
        rows[task.id] += 1
        tasks.append(task if rows[task.id] == 1 else replace(task, id=f"{task.id}#{rows[task.id]}"))
    return tasks


def odex_task(row: Mapping[str, Any]) -> Task:
    """One task. What precedes the check function (imports) is set-up code."""
    preamble: list[ast.stmt] = []
    tests: list[TestCase] = []
    for body in row["test"]:
        *preamble, check = ast.parse(row["test_start"].rstrip() + body).body
        if not isinstance(check, ast.FunctionDef):
            raise TaskError("the field 'test_start' must end with the line `def check(candidate):`.")
        tests += hidden_tests(check, row["entry_point"])
    return Task(
        id=f"odex/{row['task_id']}",
        prompt=row["intent"].strip(),
        tests=tuple(tests),
        entry_point=row["entry_point"],
        signature=row["prompt"].partition(":\n")[0] + ":",
        setup="\n".join(map(ast.unparse, preamble)) or None,
        reference=(row["prompt"] + row["canonical_solution"] + row["suffix"]).expandtabs(4).rstrip() + "\n",
        metadata={
            "split": "library" if row["library"] else "plain",
            "source": "odex",
            "license": "CC-BY-SA-4.0",
            "library": ",".join(row["library"]),
            **({"trust": "in_process"} if row["task_id"] in SAME_PROCESS else {}),
        },
    )


ODEX = Benchmark(
    file="odex/en_test.jsonl",
    hub_id="neulab/odex",
    config="en",
    hub_splits=("test",),
    fields={
        "task_id": int,
        "intent": str,
        "prompt": str,
        "canonical_solution": str,
        "suffix": str,
        "entry_point": str,
        "test_start": str,
        "test": list,
        "library": list,
    },
    convert=odex_task,
)
