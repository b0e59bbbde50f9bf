"""Assertions as call tests, where that keeps their meaning: then the expected value stays in the parent."""

import ast

from linewise.types import AssertTest, CallTest, TestCase


def convert_assertion(statement: ast.stmt, *, example: bool, names: frozenset[str] = frozenset()) -> TestCase:
    """The test that one statement makes.

    `assert f(x) == literal`, either way round, becomes a call test; so does `assert f(x)` and `assert not f(x)`, as
    `bool(f(x))` with the value True or False. Anything else, and whatever uses one of the local `names`, stays code.
    The judge compares by type, so `==` between an int and a float literal is kept as code where the caller finds that a
    reference returns the other type.
    """
    code = AssertTest(code=ast.unparse(statement), example=example)
    if not isinstance(statement, ast.Assert) or _uses(statement, names):
        return code
    condition = statement.test
    if isinstance(condition, ast.Compare) and len(condition.ops) == 1 and isinstance(condition.ops[0], ast.Eq):
        sides = (condition.left, condition.comparators[0])
        for call, expected in (sides, sides[::-1]):
            if isinstance(call, ast.Call) and _is_literal(expected) and not _is_literal(call):
                return CallTest(call=ast.unparse(call), expected=ast.unparse(expected), example=example)
        return code
    if (
        isinstance(condition, ast.Call)
        and isinstance(condition.func, ast.Name)
        and condition.func.id not in ("all", "any", "isinstance")
    ):
        return CallTest(call=f"bool({ast.unparse(condition)})", expected="True", example=example)
    if (
        isinstance(condition, ast.UnaryOp)
        and isinstance(condition.op, ast.Not)
        and isinstance(condition.operand, ast.Call)
    ):
        return CallTest(call=f"bool({ast.unparse(condition.operand)})", expected="False", example=example)
    return code


def called_name(tests: tuple[TestCase, ...], defined: frozenset[str]) -> str | None:
    """The first function in `defined` that the tests call."""
    for test in tests:
        source = test.call if isinstance(test, CallTest) else test.code if isinstance(test, AssertTest) else ""
        for node in ast.walk(ast.parse(source.strip() or "None")):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in defined:
                return node.func.id
    return None


def signature_of(source: str, name: str) -> str | None:
    """The `def` line of a top-level function, arguments as written by its author, without a newline."""
    for node in ast.parse(source).body:
        if isinstance(node, ast.FunctionDef) and node.name == name:
            returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
            return f"def {name}({ast.unparse(node.args)}){returns}:"
    return None


def functions_of(source: str) -> frozenset[str]:
    """Names of the top-level functions of a program."""
    return frozenset(node.name for node in ast.parse(source).body if isinstance(node, ast.FunctionDef))


def _is_literal(node: ast.expr) -> bool:
    try:
        ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return False
    return True


def _uses(statement: ast.stmt, names: frozenset[str]) -> bool:
    return any(isinstance(node, ast.Name) and node.id in names for node in ast.walk(statement))
