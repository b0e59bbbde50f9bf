"""APPS (Hendrycks et al. 2021, arXiv:2105.09938): problems as folders, or as rows of JSON; scripts or calls; MIT."""

import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from linewise.errors import TaskError
from linewise.tasks.sources import DATA_VARIABLE, Benchmark, Row
from linewise.types import CallTest, StdinTest, Task, TestCase

FOLDER = "apps"
"""The folder's name below the data folder."""
SPLITS = ("train", "test")
QUESTION, TESTS, SOLUTIONS = "question.txt", "input_output.json", "solutions.json"
STARTER, METADATA = "starter_code.py", "metadata.json"
TOLERANCE = 1e-5
"""Of outputs and values with a decimal point, as the published harness compares floats."""
MAX_DIGITS = 4000
"""Longer integers are no literals of Python."""
PRELUDE = """\
import collections
import heapq
import itertools
import math
import random
import sys
import time
from collections import ChainMap, Counter, OrderedDict, defaultdict, deque
from functools import lru_cache
from heapq import *
from itertools import accumulate, combinations, permutations, product
from math import *
from typing import *
"""
"""What the published harness offers to a function and references rely on, without NumPy."""
SETUP = """\
def listed(value):
    if isinstance(value, (list, tuple)):
        return [listed(item) for item in value]
    return value
"""
"""JSON knows no tuples: where a list is expected, a tuple is one as well."""
DECIMAL = re.compile(r"(?<!\S)[+-]?\d*\.\d+(?!\S)")


def load_apps(path: Path | None = None) -> list[Task]:
    """All tasks of a folder in the original form, of a JSON-lines file, or of the hub. Every test is hidden."""
    folder = find_apps(path)
    if folder is None:
        return APPS.load(path)
    tasks = [APPS.task(row) for row in folder_rows(folder)]
    found = [task for task in tasks if task is not None]
    if not found:
        raise TaskError(
            f"{folder} holds no problem with tests; name the folder that holds 'train' and 'test', or one of them."
        )
    return found


def find_apps(path: Path | None = None) -> Path | None:
    """The folder to read: the given one, or `apps` in the data folder; None for a file or where there is none."""
    if path is None:
        data = os.environ.get(DATA_VARIABLE)
        path = Path(data) / FOLDER if data else None
    return path if path is not None and path.is_dir() else None


def folder_rows(folder: Path) -> Iterator[Row]:
    """The problems of `folder/train` and `folder/test`, or else those of the folder itself, as rows of the hub's form."""
    splits = [folder / split for split in SPLITS if (folder / split).is_dir()] or [folder]
    for place in splits:
        split = place.name if place.name in SPLITS else "train"
        for problem in sorted(question.parent for question in place.glob(f"*/{QUESTION}")):
            metadata = json.loads(_text(problem / METADATA) or "{}")
            values = {
                "problem_id": problem.name,
                "question": _text(problem / QUESTION),
                "solutions": _text(problem / SOLUTIONS),
                "input_output": _text(problem / TESTS),
                "starter_code": _text(problem / STARTER),
                "difficulty": str(metadata.get("difficulty", "")),
                "url": str(metadata.get("url", "")),
            }
            yield Row(values=values, where=str(problem), split=split)


def _text(file: Path) -> str:
    """The file's text, with the line ends of Unix; empty where there is no such file."""
    try:
        return file.read_text(encoding="utf-8") if file.is_file() else ""
    except (OSError, UnicodeDecodeError) as error:
        raise TaskError(f"cannot read {file}: {error}. Fetch the data again.") from error


def apps_task(row: Mapping[str, Any]) -> Task | None:
    """One task; None for a problem without tests."""
    published = _json(row["input_output"], "input_output")
    if not published or not published.get("inputs"):
        return None
    name = published.get("fn_name")
    starter = row["starter_code"].expandtabs(4).strip()
    solutions = [text.expandtabs(4).strip() + "\n" for text in _json(row["solutions"], "solutions") or []]
    reference = next(filter(_compiles, solutions), None)
    entry_point = None
    if name is not None:
        is_method = "class Solution" in (starter or reference or "")
        entry_point = f"Solution.{name}" if is_method else name
        reference = reference and f"{PRELUDE}\n\n{reference}"
    tests = tuple(_tests(published, entry_point))
    return Task(
        id=f"apps/{row['problem_id']}",
        prompt=row["question"].strip(),
        tests=tests,
        entry_point=entry_point,
        signature=_signature(starter),
        setup=SETUP if any(isinstance(test, CallTest) and test.call.startswith("listed(") for test in tests) else None,
        reference=reference,
        metadata={"source": "apps", "license": "MIT", "family": row["difficulty"], "url": row["url"]},
    )


def _signature(starter: str) -> str | None:
    """The starter code, after an import of the type names that it uses; None for code that is no open `def`."""
    if not starter.endswith(":") or not _compiles(f"{starter} pass"):
        return None
    typed = sorted(set(re.findall(r"\b(?:Dict|List|Optional|Set|Tuple)\b", starter)))
    return f"from typing import {', '.join(typed)}\n\n\n{starter}" if typed else starter


def _tests(published: Mapping[str, Any], entry_point: str | None) -> Iterator[TestCase]:
    inputs, outputs = published["inputs"], published["outputs"]
    if not isinstance(inputs, list) or not isinstance(outputs, list) or len(inputs) != len(outputs):
        raise TaskError("field 'input_output': inputs and outputs must be lists of one length.")
    for given, expected in zip(inputs, outputs, strict=True):
        if entry_point is None:
            text = _lines(expected)
            yield StdinTest(input=_lines(given), expected=text, tolerance=TOLERANCE if DECIMAL.search(text) else None)
        else:
            yield _call_test(entry_point, given, expected)


def _lines(text: object) -> str:
    """A text, or the lines of one."""
    return "\n".join(map(str, text)) if isinstance(text, list) else str(text)


def _call_test(entry_point: str, arguments: object, expected: object) -> CallTest:
    """A call with positional arguments. A list of one value may stand for the value: both are accepted."""
    if not isinstance(arguments, list):
        raise TaskError("field 'input_output': the inputs of a function must be lists of arguments.")
    target = entry_point.replace(".", "().")
    call = f"{target}({', '.join(repr(_with_integer_keys(argument)) for argument in arguments)})"
    value = _with_integer_keys(expected)
    alternatives = (value[0],) if isinstance(value, list) and len(value) == 1 else ()
    text = repr(value)
    return CallTest(
        call=f"listed({call})" if isinstance(value, list) else call,
        expected=text,
        alternatives=tuple(map(repr, alternatives)),
        tolerance=TOLERANCE if any(type(part) is float for part in _parts(value)) else None,
    )


def _with_integer_keys(value: Any) -> Any:
    """JSON has no integers as keys: where all keys of a dictionary are written as integers, they were some."""
    if isinstance(value, list):
        return [_with_integer_keys(item) for item in value]
    if isinstance(value, dict):
        whole = all(re.fullmatch(r"-?\d+", key) for key in value)
        return {int(key) if whole else key: _with_integer_keys(item) for key, item in value.items()}
    return value


def _parts(value: Any) -> Iterator[Any]:
    if isinstance(value, list | dict):
        for item in value if isinstance(value, list) else value.values():
            yield from _parts(item)
    else:
        yield value


def _json(text: str, field: str) -> Any:
    """The content of a field that is JSON in a string; None where it is empty or has integers too long for Python."""

    def integer(digits: str) -> int:
        if len(digits) > MAX_DIGITS:
            raise OverflowError
        return int(digits)

    try:
        return json.loads(text, parse_int=integer) if text.strip() else None
    except OverflowError:
        return None
    except (ValueError, RecursionError) as error:
        raise TaskError(f"field '{field}': no valid JSON ({error}).") from error


def _compiles(source: str) -> bool:
    try:
        compile(source, "<solution>", "exec", dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


APPS = Benchmark(
    file="apps/apps.jsonl",
    hub_id="codeparrot/apps",
    config="all",
    revision="refs/convert/parquet",
    hub_splits=SPLITS,
    fields={
        "problem_id": (int, str),
        "question": str,
        "solutions": str,
        "input_output": str,
        "difficulty": str,
        "url": str,
        "starter_code": str,
    },
    convert=apps_task,
    splits_are_files=True,
)
