"""Tests written as the body of a function `check(candidate)`: the form of HumanEval and ODEX."""

import ast
from collections.abc import Iterator, Sequence
from textwrap import indent

from linewise.errors import TaskError
from linewise.tasks.assertions import convert_assertion
from linewise.types import AssertTest, TestCase

EFFECTS = (ast.With, ast.Delete, ast.Global, ast.Try)


def hidden_tests(check: ast.FunctionDef, entry_point: str) -> list[TestCase]:
    """The hidden tests of a check function, in which its parameter becomes the name `entry_point`.

    An assertion that stands alone becomes a test of its own. Local variables, loops and calls for their effect, and the
    assertions that need them, stay together as one piece of code. `assert True` tests nothing and is dropped.
    """
    if len(check.args.args) != 1:
        raise TaskError(f"the function '{check.name}' must take one argument, the function under test.")
    rename = _Renamed(check.args.args[0].arg, entry_point)
    functions = frozenset({entry_point})
    tests: list[TestCase] = []
    block: list[ast.stmt] = []
    for statement in map(rename.visit, check.body):
        if _is_vacuous(statement):
            continue
        if isinstance(statement, ast.Assert) and _stands_alone(statement, block, entry_point):
            tests.append(convert_assertion(statement, functions, example=False))
        else:
            block.append(statement)
    if any(isinstance(node, ast.Assert | ast.Expr) for statement in block for node in ast.walk(statement)):
        tests.append(AssertTest(code=_code(block)))
    return tests


def function_named(module: ast.Module, name: str) -> ast.FunctionDef:
    """The top-level function of that name. Raises TaskError where there is none."""
    for node in module.body:
        if isinstance(node, ast.FunctionDef) and node.name == name:
            return node
    raise TaskError(f"the code must define a function '{name}'.")


def _code(block: Sequence[ast.stmt]) -> str:
    """The block as a module; inside a function of its own where it returns early."""
    code = "\n".join(map(ast.unparse, block))
    if any(isinstance(node, ast.Return) for statement in block for node in _outside_functions(statement)):
        return f"def check():\n{indent(code, '    ')}\ncheck()"
    return code


def _outside_functions(node: ast.AST) -> Iterator[ast.AST]:
    if not isinstance(node, ast.FunctionDef | ast.Lambda | ast.ClassDef):
        yield node
        for child in ast.iter_child_nodes(node):
            yield from _outside_functions(child)


def _is_vacuous(statement: ast.stmt) -> bool:
    match statement:
        case ast.Assert(test=ast.Constant(value=value)):
            return bool(value)
        case ast.Pass() | ast.Expr(value=ast.Constant() | ast.Name()):
            return True
    return False


def _stands_alone(statement: ast.Assert, block: Sequence[ast.stmt], entry_point: str) -> bool:
    """Whether nothing that the block ran can change what the assertion says."""
    if not block:
        return True
    used = _names(statement, ast.Load)
    bound = {name for before in block for name in _names(before, ast.Store) | _imported(before)}
    return entry_point in used and not used & bound and not any(map(_has_effect, block))


def _names(statement: ast.stmt, context: type[ast.expr_context]) -> set[str]:
    return {node.id for node in ast.walk(statement) if isinstance(node, ast.Name) and isinstance(node.ctx, context)}


def _imported(statement: ast.stmt) -> set[str]:
    """Names that imports and definitions bind."""
    names: set[str] = set()
    for node in ast.walk(statement):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names |= {(alias.asname or alias.name).split(".")[0] for alias in node.names}
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
    return names


def _has_effect(statement: ast.stmt) -> bool:
    """Whether a statement may change more than local names."""
    for node in ast.walk(statement):
        if isinstance(node, EFFECTS) or (isinstance(node, ast.Expr) and not isinstance(node.value, ast.Constant)):
            return True
        if isinstance(node, ast.Attribute | ast.Subscript) and isinstance(node.ctx, ast.Store):
            return True
    return False


class _Renamed(ast.NodeTransformer):
    """One name for another."""

    def __init__(self, old: str, new: str) -> None:
        self.old, self.new = old, new

    def visit_Name(self, node: ast.Name) -> ast.Name:
        return ast.copy_location(ast.Name(self.new, node.ctx), node) if node.id == self.old else node
