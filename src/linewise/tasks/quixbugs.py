"""QuixBugs (Lin et al. 2017): algorithms with a bug in one line each, to be repaired; MIT."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from linewise.errors import TaskError
from linewise.tasks.assertions import signature_of
from linewise.tasks.sources import DATA_VARIABLE, read_rows
from linewise.types import CallTest, Task

FILE = "quixbugs/quixbugs.jsonl"
CASES = "json_testcases"
"""Folder beside the file: one `NAME.json` for each program, with `[arguments, expected]` in each line."""
TOLERANCE = 1e-4
LEFT_OUT = {"knapsack": (9,), "levenshtein": (2, 3)}
"""Tests, counted from 0, for which the right programs need more than 512 MiB, or 2.4 s and more than 30 s."""
SETUP = """\
def plain(value):
    if isinstance(value, (str, bytes, int, float, complex, bool, type(None), dict)):
        return value
    return [plain(item) for item in value]
"""
"""The published harness takes any iterable, generators above all, for the list of its items."""


def load_quixbugs(path: Path | None = None) -> list[Task]:
    """The programs whose tests are JSON, 31 of 40; the others work on graphs that the harness builds in code."""
    file = path or find_quixbugs()
    if file is None or not file.is_file():
        raise TaskError(
            f"there is no file {file or FILE}; set {DATA_VARIABLE} to a folder that holds {FILE}, "
            "or name the file after a colon."
        )
    cases = file.parent / CASES
    rows = [row.values for row in read_rows(file)]
    found = [(row, cases / f"{row.get('id')}.json") for row in rows]
    tasks = [quixbugs_task(row, place) for row, place in found if place.is_file()]
    if not tasks:
        raise TaskError(f"{file} has no tests; the folder {cases} must hold them, one file for each program.")
    return tasks


def find_quixbugs() -> Path | None:
    """The file in the data folder, if it is there."""
    folder = os.environ.get(DATA_VARIABLE)
    file = Path(folder) / FILE if folder else None
    return file if file is not None and file.is_file() else None


def quixbugs_task(row: Mapping[str, Any], cases: Path) -> Task:
    """One task: the buggy program is shown, the fixed one is the reference."""
    try:
        name, buggy, fixed = row["id"], row["buggy"].strip("\n"), row["fixed"].strip("\n") + "\n"
        lines = [json.loads(line) for line in cases.read_text(encoding="utf-8").splitlines() if line.strip()]
        kept = [line for index, line in enumerate(lines) if index not in LEFT_OUT.get(name, ())]
        tests = tuple(_call_test(name, arguments, expected) for arguments, expected in kept)
        faulty = ",".join(map(str, row["faulty_lines"]))
    except (KeyError, AttributeError, TypeError, ValueError, OSError) as error:
        raise TaskError(f"{cases}: no program and tests of QuixBugs ({type(error).__name__}: {error}).") from error
    return Task(
        id=f"quixbugs/{name}",
        prompt=f"This function has a bug in one line. Write it without the bug.\n\n{buggy}",
        tests=tests,
        entry_point=name,
        signature=signature_of(fixed, name),
        setup=SETUP,
        reference=fixed,
        metadata={
            "split": "test",
            "source": "quixbugs",
            "license": "MIT",
            "buggy": row["buggy"],
            "faulty_lines": faulty,
        },
    )


def _call_test(name: str, arguments: object, expected: object) -> CallTest:
    given = arguments if isinstance(arguments, list) else [arguments]
    return CallTest(
        call=f"plain({name}({', '.join(map(repr, given))}))",
        expected=repr(expected),
        tolerance=TOLERANCE if isinstance(expected, float) else None,
    )
