"""Tasks as JSON lines: reading with errors that name file, line and field, and writing. docs/task-format.md is the manual."""

import ast
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from linewise.errors import TaskError
from linewise.types import AssertTest, CallTest, Limits, StdinTest, Task, TestCase

TEST_FIELDS: Mapping[str, Mapping[str, type | tuple[type, ...]]] = {
    "call": {"call": str, "expected": str, "example": bool, "tolerance": (int, float, type(None))},
    "assert": {"code": str, "example": bool},
    "stdin": {"input": str, "expected": str, "example": bool},
}
"""Fields of each kind of test, with their JSON types."""

TASK_FIELDS: Mapping[str, type | tuple[type, ...]] = {
    "id": str,
    "prompt": str,
    "entry_point": (str, type(None)),
    "signature": (str, type(None)),
    "setup": (str, type(None)),
    "reference": (str, type(None)),
    "limits": dict,
    "metadata": dict,
    "tests": list,
}
"""Fields of a task, with their JSON types."""

OPTIONAL = {"entry_point", "signature", "setup", "reference", "limits", "metadata", "example", "tolerance"}
JSON_NAMES = {
    str: "a string",
    bool: "true or false",
    int: "a number",
    float: "a number",
    dict: "an object",
    list: "a list",
}


def load_jsonl(path: Path) -> list[Task]:
    """The tasks of a file, one JSON object a line; blank lines and a byte-order mark are tolerated.

    Raises TaskError at the first fault, naming file, line and field with the value, the rule and the remedy.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise TaskError(f"cannot read the task file {path}: {error.strerror}. Check the path.") from error
    except UnicodeDecodeError as error:
        raise TaskError(f"{path} is no UTF-8 text (byte {error.start}); convert it to UTF-8.") from error
    tasks: dict[str, Task] = {}
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        where = f"{path}, line {number}"
        try:
            record = json.loads(line)
        except json.JSONDecodeError as error:
            raise TaskError(
                f"{where}, column {error.colno}: no valid JSON ({error.msg}). Write one object a line."
            ) from error
        task = task_from_json(record, where)
        if task.id in tasks:
            raise TaskError(f"{where}, field 'id': '{task.id}' stands in an earlier line too; ids must be unique.")
        tasks[task.id] = task
    if not tasks:
        raise TaskError(f"{path} holds no task; write one JSON object a line.")
    return list(tasks.values())


def dump_jsonl(tasks: Iterable[Task], path: Path) -> None:
    """Write tasks so that `load_jsonl` gives them back."""
    path.write_text("".join(json.dumps(task_to_json(task)) + "\n" for task in tasks), encoding="utf-8")


def task_to_json(task: Task) -> dict[str, Any]:
    """JSON form of a task."""
    return {**asdict(task), "metadata": dict(task.metadata), "tests": [_test_to_json(test) for test in task.tests]}


def task_from_json(record: Any, where: str = "task") -> Task:
    """The task of a JSON object; `where` begins every error. Raises TaskError."""
    _check_fields(record, TASK_FIELDS, where)
    if not record["id"].strip():
        raise TaskError(f"{where}, field 'id': it is empty; give the task a unique name.")
    if not record["tests"]:
        raise TaskError(f"{where}, field 'tests': the list is empty; a task needs at least one test.")
    limits, metadata = record.get("limits", {}), record.get("metadata", {})
    _check_fields(
        limits, {field.name: (int, float) for field in fields(Limits)}, f"{where}, field 'limits'", all_optional=True
    )
    for name, value in limits.items():
        if value <= 0:
            raise TaskError(f"{where}, field 'limits.{name}': {value} must be above 0.")
    for name, value in metadata.items():
        if not isinstance(value, str):
            raise TaskError(f"{where}, field 'metadata.{name}': {value!r} must be a string; write it in quotes.")
    optional = {name: record.get(name) for name in ("entry_point", "signature", "setup", "reference")}
    return Task(
        id=record["id"],
        prompt=record["prompt"],
        tests=tuple(
            _test_from_json(test, f"{where}, field 'tests[{index}]'") for index, test in enumerate(record["tests"])
        ),
        limits=Limits(**limits),
        metadata=metadata,
        **optional,
    )


def _test_to_json(test: TestCase) -> dict[str, Any]:
    kinds = {CallTest: "call", AssertTest: "assert", StdinTest: "stdin"}
    return {"kind": kinds[type(test)], **asdict(test)}


def _test_from_json(record: Any, where: str) -> TestCase:
    kind = record.get("kind") if isinstance(record, dict) else None
    if kind not in TEST_FIELDS:
        raise TaskError(
            f"{where}.kind: {kind!r} is none of {', '.join(TEST_FIELDS)}.{_did_you_mean(kind, TEST_FIELDS)}"
        )
    values = {name: value for name, value in record.items() if name != "kind"}
    _check_fields(values, TEST_FIELDS[kind], where)
    match kind:
        case "call":
            _check_python(
                values["call"], lambda text: ast.parse(text, mode="eval"), f"{where}.call", "a Python expression"
            )
            _check_python(values["expected"], ast.literal_eval, f"{where}.expected", "a Python literal")
            return CallTest(**values)
        case "assert":
            _check_python(values["code"], ast.parse, f"{where}.code", "Python statements")
            return AssertTest(**values)
        case _:
            return StdinTest(**values)


def _check_fields(
    record: Any, known: Mapping[str, type | tuple[type, ...]], where: str, *, all_optional: bool = False
) -> None:
    if not isinstance(record, dict):
        raise TaskError(f"{where}: {record!r} must be a JSON object with the fields {', '.join(known)}.")
    for name, value in record.items():
        if name not in known:
            raise TaskError(f"{where}: unknown field '{name}'.{_did_you_mean(name, known)} Known: {', '.join(known)}.")
        kinds = known[name] if isinstance(known[name], tuple) else (known[name],)
        if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):  # type: ignore[arg-type,operator]
            wanted = " or ".join(dict.fromkeys(JSON_NAMES.get(kind, "null") for kind in kinds))  # type: ignore[union-attr]
            raise TaskError(f"{where}, field '{name}': {value!r} must be {wanted}.")
    for name in known:
        if name not in record and name not in OPTIONAL and not all_optional:
            raise TaskError(f"{where}: the field '{name}' is missing; add it.")


def _check_python(text: str, parse: Callable[[str], object], where: str, what: str) -> None:
    try:
        parse(text.strip())
    except (SyntaxError, ValueError, TypeError, MemoryError, RecursionError) as error:
        raise TaskError(f"{where}: {text!r} must be {what} ({error}).") from error


def _did_you_mean(name: object, known: Iterable[str]) -> str:
    close = get_close_matches(str(name), list(known), n=1)
    return f" Did you mean '{close[0]}'?" if close else ""
