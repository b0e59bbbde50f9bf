"""Assertions as call tests, where that keeps their meaning: then the expected value stays in the parent."""

import ast

from linewise.tasks.literals import folded
from linewise.types import AssertTest, CallTest, TestCase


def convert_assertion(statement: ast.stmt, functions: frozenset[str], *, example: bool) -> TestCase:
    """The test that one statement makes, given the `functions` that the program defines.

    These become call tests: `assert f(x) == literal`, either way round; `assert f(x) is None`, or `True` or `False`;
    and `assert f(x)` and `assert not f(x)`, as `bool(f(x))`, because a true value need not be `True`. All else stays
    code, above all comparisons with a tolerance: as a call they would carry the expected value into the child.
    """
    test = _call_test(statement.test, functions, example) if isinstance(statement, ast.Assert) else None
    return test or AssertTest(code=ast.unparse(statement), example=example)


def _call_test(condition: ast.expr, functions: frozenset[str], example: bool) -> CallTest | None:
    match condition:
        case ast.Compare(left=left, ops=[ast.Eq()], comparators=[right]):
            for call, other in ((left, right), (right, left)):
                expected = folded(other)
                if expected is not None and _asks_program(call, functions):
                    return CallTest(call=ast.unparse(call), expected=expected, example=example)
        case ast.Compare(left=call, ops=[ast.Is()], comparators=[ast.Constant(value=None | True | False as value)]):
            if _asks_program(call, functions):
                return CallTest(call=ast.unparse(call), expected=repr(value), example=example)
        case ast.UnaryOp(op=ast.Not(), operand=call) if _is_call_of(call, functions):
            return CallTest(call=f"bool({ast.unparse(call)})", expected="False", example=example)
        case call if _is_call_of(call, functions):
            return CallTest(call=f"bool({ast.unparse(call)})", expected="True", example=example)
    return None


def _asks_program(node: ast.expr, functions: frozenset[str]) -> bool:
    """Whether an expression calls the program and compares nothing itself."""
    nodes = list(ast.walk(node))
    return any(_is_call_of(part, functions) for part in nodes) and not any(
        isinstance(part, ast.Compare) for part in nodes
    )


def _is_call_of(node: ast.AST, functions: frozenset[str]) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in functions


def called_name(statements: list[ast.stmt], functions: frozenset[str]) -> str | None:
    """The first function of the program that the statements call."""
    for statement in statements:
        for node in ast.walk(statement):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in functions:
                return node.func.id
    return None


def functions_of(source: str) -> frozenset[str]:
    """Names of the top-level functions of a program."""
    return frozenset(node.name for node in ast.parse(source).body if isinstance(node, ast.FunctionDef))


def signature_of(source: str, name: str) -> str | None:
    """The `def` line of a top-level function, with its author's arguments and annotations; None without one."""
    for node in ast.parse(source).body:
        if isinstance(node, ast.FunctionDef) and node.name == name:
            returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
            return f"def {name}({ast.unparse(node.args)}){returns}:"
    return None
