"""Tasks as JSON lines: reading (errors name file, line and field) and writing. Manual: docs/task-format.md."""

import json
from collections.abc import Iterable
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from linewise.errors import StorageError, TaskError
from linewise.tasks.validation import check_task
from linewise.types import AssertTest, CallTest, Checker, Limits, StdinTest, Task, TestCase

KINDS: dict[type[TestCase], str] = {CallTest: "call", AssertTest: "assert", StdinTest: "stdin"}
"""What the field `kind` of a test says."""
TYPES = {kind: test for test, kind in KINDS.items()}
RULES_NOT_SET = {"tolerance": None, "checker": Checker.EXACT, "alternatives": ()}
"""Fields of a test that are left out where they hold these values."""


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
    tasks: list[Task] = []
    lines: dict[str, int] = {}
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        task = task_from_json(_parse(line, f"{path}, line {number}"), f"{path}, line {number}")
        if task.id in lines:
            raise TaskError(
                f"{path}, line {number}, field 'id': '{task.id}' is the id of line {lines[task.id]} too; "
                "ids must be unique, so rename one."
            )
        lines[task.id] = number
        tasks.append(task)
    if not tasks:
        raise TaskError(f"{path} holds no task; write one JSON object a line.")
    return tasks


def dump_jsonl(tasks: Iterable[Task], path: Path) -> None:
    """Write tasks so that `load_jsonl` gives them back. Raises StorageError where the file cannot be written."""
    lines = "".join(json.dumps(task_to_json(task)) + "\n" for task in tasks)
    try:
        path.write_text(lines, encoding="utf-8")
    except OSError as error:
        raise StorageError(f"cannot write the task file {path}: {error.strerror}.") from error


def task_to_json(task: Task) -> dict[str, Any]:
    """JSON form of a task. Comparison rules that are not set are left out."""
    return {
        "id": task.id,
        "prompt": task.prompt,
        "entry_point": task.entry_point,
        "signature": task.signature,
        "setup": task.setup,
        **({} if task.checker_code is None else {"checker_code": task.checker_code}),
        "reference": task.reference,
        "limits": asdict(task.limits),
        "metadata": dict(task.metadata),
        "tests": [_test_to_json(test) for test in task.tests],
    }


def task_from_json(record: object, where: str = "task") -> Task:
    """The task that a parsed JSON object describes. Raises TaskError, whose message begins with `where`."""
    values = check_task(record, where)
    return Task(
        id=values["id"],
        prompt=values["prompt"],
        entry_point=values.get("entry_point"),
        signature=values.get("signature"),
        setup=values.get("setup"),
        checker_code=values.get("checker_code"),
        reference=values.get("reference"),
        limits=Limits(**values.get("limits", {})),
        metadata=values.get("metadata", {}),
        tests=tuple(_test_from_json(test) for test in values["tests"]),
    )


def _test_to_json(test: TestCase) -> dict[str, Any]:
    values = {field.name: getattr(test, field.name) for field in fields(test)}
    for name, default in RULES_NOT_SET.items():
        if values.get(name) == default:
            values.pop(name, None)
    if "alternatives" in values:
        values["alternatives"] = list(values["alternatives"])
    return {"kind": KINDS[type(test)], **values}


def _test_from_json(record: dict[str, Any]) -> TestCase:
    values = {name: value for name, value in record.items() if name != "kind"}
    if "checker" in values:
        values["checker"] = Checker(values["checker"])
    if "alternatives" in values:
        values["alternatives"] = tuple(values["alternatives"])
    return TYPES[record["kind"]](**values)


def _parse(line: str, where: str) -> object:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        names = [name for name, _ in pairs]
        for name in names:
            if names.count(name) > 1:
                raise TaskError(f"{where}: the field '{name}' stands there twice; keep one.")
        return dict(pairs)

    try:
        return json.loads(line, object_pairs_hook=unique)
    except json.JSONDecodeError as error:
        raise TaskError(
            f"{where}, column {error.colno}: no valid JSON ({error.msg}). Write one whole object in each line."
        ) from error
    except RecursionError as error:
        raise TaskError(f"{where}: the JSON is nested too deeply.") from error
    except TaskError:
        raise
    except ValueError as error:
        raise TaskError(f"{where}: {error.args[0].partition(';')[0]}; write a shorter number.") from error
