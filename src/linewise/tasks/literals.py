"""Python literals: what the expected value of a call test may be.

Beside what `ast.literal_eval` reads, `nan`, `inf`, `float("nan")` and `frozenset(...)` are literals, because `repr`
writes them for values that have no literal. The judge reads expected values by the same rule.
"""

import ast

NOT_FINITE = ("nan", "inf")
SEQUENCES = (ast.List, ast.Tuple)


def check_literal(text: str) -> None:
    """Raise ValueError if `text` is not a literal, or is one that no value equals: the judge compares no ellipsis."""
    try:
        _value(_Spelled().visit(ast.parse(text.strip(), mode="eval").body))
    except ValueError as error:
        # Python's message ends with the address of a syntax node, which tells a reader nothing.
        raise ValueError(str(error).partition(": <ast.")[0]) from error
    except (SyntaxError, TypeError, RecursionError, MemoryError) as error:
        raise ValueError(str(error)) from error


def folded(node: ast.expr) -> str | None:
    """Source of the literal that a constant expression stands for, or None.

    `(1, 2)` stands for itself; `tuple([1, 2])`, `set([1])` and `2 + 3` are worked out, and nothing else is.
    """
    tree = _Folded().visit(ast.parse(ast.unparse(node), mode="eval").body)
    return ast.unparse(tree) if _is_literal(tree) else None


def _value(node: ast.expr) -> object:
    if any(isinstance(part, ast.Constant) and part.value is ... for part in ast.walk(node)):
        raise ValueError("no value equals an ellipsis")
    return ast.literal_eval(node)


def _is_literal(node: ast.expr) -> bool:
    try:
        _value(node)
    except (ValueError, TypeError, RecursionError, MemoryError):
        return False
    return True


class _Spelled(ast.NodeTransformer):
    """Replaces the spelled-out values by constants."""

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return ast.Constant(float(node.id)) if node.id in NOT_FINITE else node

    def visit_Call(self, node: ast.Call) -> ast.expr:
        if not isinstance(node.func, ast.Name) or len(node.args) > 1 or node.keywords:
            return node
        values = [_value(self.visit(argument)) for argument in node.args]
        if node.func.id == "float" and all(isinstance(value, str) for value in values):
            return ast.Constant(float(*values))  # type: ignore[arg-type]
        if node.func.id == "frozenset":
            return ast.Constant(frozenset(*values))  # type: ignore[arg-type]
        return node


class _Folded(ast.NodeTransformer):
    """Works out conversions of sequences, and sums and products of literals."""

    def visit_Call(self, node: ast.Call) -> ast.expr:
        self.generic_visit(node)
        if not isinstance(node.func, ast.Name) or len(node.args) != 1 or node.keywords:
            return node
        (items,) = node.args
        if not isinstance(items, SEQUENCES):
            return node
        match node.func.id:
            case "tuple":
                return ast.Tuple(items.elts, ast.Load())
            case "list":
                return ast.List(items.elts, ast.Load())
            case "set" if items.elts:
                return ast.Set(items.elts)
        return node

    def visit_BinOp(self, node: ast.BinOp) -> ast.expr:
        self.generic_visit(node)
        if not (_is_literal(node.left) and _is_literal(node.right)):
            return node
        left, right = _value(node.left), _value(node.right)
        numbers = all(type(value) in (int, float) for value in (left, right))
        result: object
        match node.op:
            case ast.Add() if numbers or (type(left) is type(right) and isinstance(left, str | list | tuple)):
                result = left + right  # type: ignore[operator]
            case ast.Mult() if numbers:
                result = left * right  # type: ignore[operator]
            case _:
                return node
        return ast.parse(repr(result), mode="eval").body
