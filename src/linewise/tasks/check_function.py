"""Tests written as the body of `check(candidate)`: the form of HumanEval and ODEX."""

import ast
import textwrap

from linewise.tasks.assertions import convert_assertion
from linewise.types import AssertTest, TestCase


def tests_of_body(body: str, entry_point: str) -> list[TestCase]:
    """The tests of the statements of a check function's body.

    Assertions become call tests where they can, with the candidate under its own name. Once a statement that is no
    assertion has run (a local variable, a loop), all that follows and uses what it made is kept as one block of code.
    """
    statements = [_Renamed(entry_point).visit(statement) for statement in ast.parse(textwrap.dedent(body).strip()).body]
    tests: list[TestCase] = []
    block: list[ast.stmt] = []
    for statement in statements:
        test = convert_assertion(statement, example=False)
        if block or not isinstance(statement, ast.Assert):
            block.append(statement)
        else:
            tests.append(test)
    if any(isinstance(node, ast.Assert) for statement in block for node in ast.walk(statement)):
        tests.append(AssertTest(code="\n".join(map(ast.unparse, block))))
    return tests


class _Renamed(ast.NodeTransformer):
    """`candidate` by the function's own name."""

    def __init__(self, entry_point: str) -> None:
        self.entry_point = entry_point

    def visit_Name(self, node: ast.Name) -> ast.Name:  # noqa: N802  (the name that ast asks for)
        """Rename one occurrence."""
        return ast.copy_location(ast.Name(self.entry_point, node.ctx), node) if node.id == "candidate" else node
