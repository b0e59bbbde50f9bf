"""The plausible mistakes with which programs of the corpus are written, each at the places where people make it.

A place goes wrong with the rate of its kind, independently of all others, so that long programs are wrong more often and a
mistake stands in one line. Some kinds are habits, made nearly as often as not (a bound that should be included, an empty
list that is forgotten); a model that has read them makes them even when it samples greedily.
"""

import ast
import random

ENDED_RANGE = 0.45
"""`range(low, high + 1)` without the `+ 1`."""
NO_GUARD = 0.4
"""No answer of its own for an empty list."""
EXCLUSIVE = 0.4
"""`>` for `>=`, `<` for `<=`."""
BREAK = 0.3
"""`break` for `continue`."""
INCLUSIVE = 0.12
"""`>=` for `>`, `<=` for `<`."""
EARLY_RETURN = 0.1
"""The last `return` stands inside the loop."""
START = 0.12
"""A running value starts at 1 for 0, or at 0 for 1."""
OPERATOR = 0.1
"""A wrong arithmetic operator."""
NEGATED = 0.05
"""`==` for `!=`, or the other way round."""
NUMBER = 0.06
"""A constant is off by one."""
METHOD = 0.08
"""Another method, or one that the type does not have."""
NAME = 0.02
"""A variable that was never set."""
NO_COLON = 0.02
"""A line without its colon."""

COMPARED: dict[type[ast.cmpop], tuple[type[ast.cmpop], float]] = {
    ast.GtE: (ast.Gt, EXCLUSIVE),
    ast.LtE: (ast.Lt, EXCLUSIVE),
    ast.Gt: (ast.GtE, INCLUSIVE),
    ast.Lt: (ast.LtE, INCLUSIVE),
    ast.Eq: (ast.NotEq, NEGATED),
    ast.NotEq: (ast.Eq, NEGATED),
}
COMPUTED: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Add,
    ast.FloorDiv: ast.Div,
    ast.Pow: ast.Mult,
    ast.Mod: ast.FloorDiv,
}
METHODS = {"append": "add", "upper": "lower", "startswith": "endswith", "endswith": "startswith", "items": "keys"}
FOREIGN_NAMES = {"total": "result", "result": "total", "count": "total", "found": "index", "best": "result"}


class Faults(ast.NodeTransformer):
    """Puts mistakes into a function, each place with the rate of its kind times `amount`. Loops still end."""

    def __init__(self, random_numbers: random.Random, amount: float) -> None:
        self.random = random_numbers
        self.amount = amount

    def _happens(self, rate: float) -> bool:
        return self.random.random() < rate * self.amount

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.FunctionDef:
        """Faults of the whole body, then of its parts."""
        statements = [self.visit(s) for s in node.body if not (_is_guard(s) and self._happens(NO_GUARD))]
        loop = next((s for s in reversed(statements) if isinstance(s, ast.For)), None)
        if loop is not None and isinstance(statements[-1], ast.Return) and self._happens(EARLY_RETURN):
            loop.body.append(statements.pop())
        node.body = statements
        return node

    def visit_While(self, node: ast.While) -> ast.While:
        """Its condition and its last statement, which make it end, stay as they are."""
        node.body = [*(self.visit(statement) for statement in node.body[:-1]), node.body[-1]]
        return node

    def visit_Call(self, node: ast.Call) -> ast.AST:
        """Bounds of a range, and methods."""
        if isinstance(node.func, ast.Name) and node.func.id == "range":
            last = node.args[1] if len(node.args) == 2 else None
            if isinstance(last, ast.BinOp) and isinstance(last.op, ast.Add) and self._happens(ENDED_RANGE):
                node.args[1] = last.left
            return node
        if isinstance(node.func, ast.Attribute) and node.func.attr in METHODS and self._happens(METHOD):
            node.func.attr = METHODS[node.func.attr]
        return self.generic_visit(node)

    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        """The operator, or the number that is compared with."""
        wrong, rate = COMPARED.get(type(node.ops[0]), (None, 0.0))
        if wrong is not None and self._happens(rate):
            node.ops = [wrong()]
        right = node.comparators[0]
        if isinstance(right, ast.Constant) and isinstance(right.value, int) and self._happens(NUMBER):
            right.value += self.random.choice((1, -1))
        node.left = self.visit(node.left)
        return node

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        """The operator."""
        wrong = COMPUTED.get(type(node.op))
        if wrong is not None and not isinstance(node.left, ast.List) and self._happens(OPERATOR):
            node.op = wrong()
        return self.generic_visit(node)

    def visit_AugAssign(self, node: ast.AugAssign) -> ast.AST:
        """`total = x` for `total += x`, or another operator."""
        self.generic_visit(node)
        if not self._happens(OPERATOR):
            return node
        if self.random.random() < 0.5:
            return ast.Assign(targets=[node.target], value=node.value, lineno=0)
        node.op = COMPUTED[type(node.op)]()
        return node

    def visit_Assign(self, node: ast.Assign) -> ast.AST:
        """The first value of a running value."""
        value = node.value
        if isinstance(value, ast.Constant) and type(value.value) is int and value.value in (0, 1):
            if self._happens(START):
                value.value = 1 - value.value
            return node
        return self.generic_visit(node)

    def visit_Continue(self, node: ast.Continue) -> ast.stmt:
        """`break` for `continue`."""
        return ast.Break() if self._happens(BREAK) else node

    def visit_Name(self, node: ast.Name) -> ast.Name:
        """A name that nobody set."""
        if isinstance(node.ctx, ast.Load) and node.id in FOREIGN_NAMES and self._happens(NAME):
            node.id = FOREIGN_NAMES[node.id]
        return node


def _is_guard(statement: ast.stmt) -> bool:
    """Whether a statement answers for an empty list: `if not chosen: return 0`, or `if best is None: ...`."""
    if not isinstance(statement, ast.If):
        return False
    test = statement.test
    return isinstance(test, ast.UnaryOp) or (isinstance(test, ast.Compare) and isinstance(test.ops[0], ast.Is))


def with_faults(function: ast.FunctionDef, random_numbers: random.Random, amount: float) -> str:
    """The body of the function with mistakes, as its source without the `def` line; indented by four spaces.

    The function's tree is changed. `amount` scales all rates; 0 makes none.
    """
    changed = Faults(random_numbers, amount).visit(function)
    lines = ast.unparse(changed).splitlines()[1:]
    if random_numbers.random() < NO_COLON * amount:
        headed = [place for place, line in enumerate(lines) if line.endswith(":")]
        if headed:
            place = random_numbers.choice(headed)
            lines[place] = lines[place].removesuffix(":")
    return "\n".join(lines)
