"""What the code of assertions needs from the program, read off its syntax before any program runs."""

import ast
import builtins
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import CodeType

from linewise.judge.child import SETUP_FILE

BUILTINS = frozenset(vars(builtins))
SOURCE_MODULES = frozenset({"inspect", "dis", "unittest", "mock", "program", "__main__"})
"""Modules that look into the program's module or change it."""
SAME_PROCESS_NAMES = frozenset({"globals", "open", "redirect_stdout", "redirect_stderr"})
"""Names that tests use to watch or change the process, or the folder, that the program runs in."""
SAME_PROCESS_ATTRIBUTES = frozenset({"__code__", "__globals__", "__closure__"})
SAME_PROCESS_CALLS = frozenset({"random.seed", "os.environ", "os.chdir"})


@dataclass(frozen=True, kw_only=True)
class SplitPlan:
    """How the assertions of a task run apart from the program."""

    borrowed: frozenset[str]
    """Names that the tests may look up in the program."""
    modules: frozenset[str]
    """Modules of the standard library that the tests use without importing them: the program's import is not trusted."""
    imports: CodeType | None
    """The imports of the set-up code, which the program may rely on as well. They tell it nothing."""
    obstacle: str
    """Why the tests cannot run apart from the program; empty where they can, as far as one can read."""


def plan_split(assertions: Sequence[str], setup: str, entry_point: str | None) -> SplitPlan:
    """The plan for these tests, which are valid Python. `entry_point` may be the name of a builtin."""
    trees = [ast.parse(source) for source in (setup, *assertions)]
    read = set(_read(trees)) | {entry_point}
    modules = {
        name for name in read if name in sys.stdlib_module_names and name != entry_point and _is_module(name, trees)
    }
    imports: list[ast.stmt] = [node for node in trees[0].body if isinstance(node, ast.Import | ast.ImportFrom)]
    return SplitPlan(
        borrowed=frozenset(name for name in read - modules if name and (name not in BUILTINS or name == entry_point)),
        modules=frozenset(modules),
        imports=compile(ast.Module(imports, []), SETUP_FILE, "exec", dont_inherit=True) if imports else None,
        obstacle=next((f"the tests use '{word}'" for tree in trees for word in _obstacles(tree)), ""),
    )


def _read(trees: Sequence[ast.AST]) -> Iterator[str]:
    for tree in trees:
        for node in ast.walk(tree):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
                yield node.id


def _is_module(name: str, trees: Sequence[ast.AST]) -> bool:
    """Whether every use of `name` reads an attribute of it, as in `sys.maxsize`."""
    nodes = [node for tree in trees for node in ast.walk(tree)]
    uses = sum(isinstance(node, ast.Name) and node.id == name for node in nodes)
    owners = [node.value for node in nodes if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load)]
    return uses == sum(isinstance(owner, ast.Name) and owner.id == name for owner in owners)


def _obstacles(tree: ast.Module) -> Iterator[str]:
    """Words that show that a test needs the process of the program."""
    imported = {name.split(".")[0] for name in _imported(tree)}
    yield from sorted(imported & SOURCE_MODULES)
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id in SAME_PROCESS_NAMES:
            yield node.id
        elif isinstance(node, ast.Attribute):
            if node.attr in SAME_PROCESS_ATTRIBUTES or ast.unparse(node) in SAME_PROCESS_CALLS:
                yield ast.unparse(node)
            owner = node.value
            if isinstance(node.ctx, ast.Store) and isinstance(owner, ast.Name) and owner.id in imported:
                yield f"{ast.unparse(node)} = ..."  # a patched module


def _imported(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""
