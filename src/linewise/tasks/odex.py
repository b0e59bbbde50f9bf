"""ODEX (Wang et al. 2022, arXiv:2212.10481), English: one-expression functions from Stack Overflow; CC-BY-SA-4.0."""

import ast
from dataclasses import replace
from pathlib import Path
from typing import Any

from linewise.tasks.check_function import tests_of_body
from linewise.tasks.sources import hub_rows, local_file, read_rows
from linewise.types import Task

HUB_ID = "neulab/odex"
FILE = "odex/en_test.jsonl"


def load_odex(path: Path | None = None) -> list[Task]:
    """All tasks; `metadata["split"]` is `train` for those that need no third-party library, else `library`.

    ODEX has one split only. Those without a library can run in the judge's plain interpreter, so they are what one trains
    on.
    """
    file = local_file(FILE, path)
    rows = read_rows(file) if file else hub_rows(HUB_ID, "test", file=FILE)
    tasks: dict[str, Task] = {}
    for row in rows:
        task = task_from_row(row)
        # Several rows answer one Stack Overflow question; the second and later ones get a number.
        copies = sum(known.split("#")[0] == task.id for known in tasks)
        task = replace(task, id=f"{task.id}#{copies + 1}") if copies else task
        if task.tests:
            tasks[task.id] = task
    return list(tasks.values())


def task_from_row(row: dict[str, Any]) -> Task:
    """One task. What precedes the check function (imports) is set-up code."""
    name = row["entry_point"]
    preamble = "\n".join(
        ast.unparse(node)
        for node in ast.parse(row["test_start"].rstrip() + "\n    pass").body
        if not isinstance(node, ast.FunctionDef)
    )
    tests = [test for body in row["test"] for test in tests_of_body(body, name)]
    signature = row["prompt"].rsplit("\n", 1)[0].strip()
    library = row["library"]
    return Task(
        id=f"odex/{row['task_id']}",
        prompt=row["intent"].strip(),
        tests=tuple(tests),
        entry_point=name,
        signature=signature if signature.startswith("def ") and "\n" not in signature else None,
        setup=preamble or None,
        reference=(row["prompt"] + row["canonical_solution"] + row["suffix"]).expandtabs(4) + "\n",
        metadata={
            "split": "library" if library else "train",
            "source": "odex",
            "license": "CC-BY-SA-4.0",
            "library": ",".join(library if isinstance(library, list) else [str(library)]),
        },
    )
