"""Which lines of a program run: recorders for the child, and the form in which their lines travel. Standard library only.

CPython 3.12 and later tell it by `sys.monitoring`, where a line costs something only the first time it runs in a test.
Before, the program is instrumented: its syntax tree is cut into blocks of statements that run one after another, and
each block sets its own item of a hidden list. The item is set just before the last statement of the block, so a block
that an exception leaves early has not set it; the traceback says how far it came (`note`), and at a
time limit the stack does. An exception that the program catches leaves no traceback, so programs that may
catch one get a block for each statement. A statement counts with all of its lines, where `sys.monitoring` counts those
that hold code.

Like everything in the child this shares a process with the program, which may change it: lines are advisory.
"""

import ast
import builtins
import re
import sys
from collections.abc import Iterator, Sequence
from functools import reduce
from itertools import compress
from operator import or_
from types import CodeType, FrameType, TracebackType
from typing import Any, Protocol, TypeAlias

MAX_LINES = 10_000
"""Lines after it are not recorded, so that a frame stays small."""
HIDDEN = " lines"
"""Name of the list of marks among the builtins. No program can spell it."""
UNTRACED = re.compile(
    r"\b(try|with|async|yield|next|StopIteration|getattr|hasattr|threading|exit|quit|SystemExit|"
    r"__\w*(attr|item|next|del|len)\w*__)\b"
)
"""Words of programs in which a block may be left early without a traceback that reaches us."""
TOOL, TOOL_NAME = 1, "linewise"
"""The number that CPython reserves for coverage tools, and the name under which it is taken."""

Node: TypeAlias = ast.stmt | ast.excepthandler | ast.match_case
Lines: TypeAlias = int
"""A set of lines as an integer: bit `n` stands for line `n`."""


class Recorder(Protocol):
    """Records lines of one program. `compile`, then for each step: `restart`, run, `note`, `lines`."""

    def compile(self, source: str, filename: str) -> CodeType:
        """The program's code, which records. Raises what `compile` raises."""

    def restart(self) -> None:
        """Forget what ran so far."""

    def note(self, place: TracebackType | FrameType | None) -> None:
        """Learn how far the frames of a traceback came, or a running frame and its callers."""

    def lines(self) -> str | None:
        """The lines that ran since `restart`, for `decode_lines`; None where they are not known."""

    def close(self) -> None:
        """Leave no trace in the interpreter."""


def new_recorder() -> Recorder:
    """The recorder that suits this interpreter."""
    monitoring = getattr(sys, "monitoring", None)
    return BlockRecorder() if monitoring is None else MonitoringRecorder(monitoring)


def encode_lines(lines: Lines) -> str:
    """The form in which lines travel: hexadecimal digits."""
    return format(lines & ((2 << MAX_LINES) - 1), "x")


def decode_lines(text: object, num_lines: int) -> frozenset[int] | None:
    """The lines among 1 to `num_lines` in what a child sent; None for anything that is not the form of lines."""
    if type(text) is not str or len(text) > MAX_LINES // 4 + 1:
        return None
    try:
        bits = bin(int(text, 16))
    except ValueError:
        return None
    if bits[0] == "-":
        return None
    return frozenset(line for line, bit in enumerate(bits[:1:-1]) if bit == "1" and 1 <= line <= num_lines)


class MonitoringRecorder:
    """Records by `sys.monitoring`, in the code of the program alone."""

    def __init__(self, monitoring: Any) -> None:
        self.monitoring = monitoring
        self.found: set[int] = set()
        found, disable = self.found.add, monitoring.DISABLE

        def on_line(_code: CodeType, line: int) -> object:
            found(line)
            return disable  # until `restart_events`

        monitoring.use_tool_id(TOOL, TOOL_NAME)
        monitoring.register_callback(TOOL, monitoring.events.LINE, on_line)

    def compile(self, source: str, filename: str) -> CodeType:
        """The code of the program, in which each line is told once."""
        code = compile(source, filename, "exec", dont_inherit=True)
        for part in _parts(code):
            self.monitoring.set_local_events(TOOL, part, self.monitoring.events.LINE)
        return code

    def restart(self) -> None:
        """Forget what ran so far."""
        self.found.clear()
        self.monitoring.restart_events()

    def note(self, place: TracebackType | FrameType | None) -> None:
        """Learn nothing: every line has been told when it began."""

    def lines(self) -> str | None:
        """The lines that ran since `restart`."""
        lines = 0
        for line in self.found:
            lines |= 1 << min(line, MAX_LINES + 1)
        return encode_lines(lines)

    def close(self) -> None:
        """Give the tool's number back."""
        self.monitoring.register_callback(TOOL, self.monitoring.events.LINE, None)
        self.monitoring.free_tool_id(TOOL)


def _parts(code: CodeType) -> Iterator[CodeType]:
    """A code object and all those that it makes functions and classes of."""
    waiting = [code]
    while waiting:
        code = waiting.pop()
        yield code
        waiting.extend(constant for constant in code.co_consts if isinstance(constant, CodeType))


class BlockRecorder:
    """Records by marks in the program's syntax tree; on a program too nested for that it records nothing."""

    def __init__(self) -> None:
        self.filename = ""
        self.marks: list[int] = []
        self._blocks: list[list[Node]] = []
        self._known: dict[int, Lines] = {}
        self._partial: Lines = 0

    def compile(self, source: str, filename: str) -> CodeType:
        """The code of the program with its marks; without them where it cannot be instrumented."""
        self.filename = filename
        try:
            tree = compile(source, filename, "exec", ast.PyCF_ONLY_AST, dont_inherit=True)
            assert isinstance(tree, ast.Module)
            blocks = Instrumenter(each_statement=UNTRACED.search(source) is not None).instrument(tree)
            code = compile(tree, filename, "exec", dont_inherit=True)
        except Exception:  # noqa: BLE001  a syntax error, to be raised below, or nesting that only the parser can bear
            return compile(source, filename, "exec", dont_inherit=True)
        self._blocks, self._known = blocks, {}
        self.marks = [0] * len(blocks)
        setattr(builtins, HIDDEN, self.marks)
        return code

    def restart(self) -> None:
        """Forget what ran so far."""
        self.marks[:] = [0] * len(self._blocks)
        self._partial = 0

    def note(self, place: TracebackType | FrameType | None) -> None:
        """Count each block in which a frame stands from its beginning to the frame's line."""
        places = set()
        while place is not None:
            if isinstance(place, TracebackType):
                frame, line, place = place.tb_frame, place.tb_lineno, place.tb_next
            else:
                frame, line, place = place, place.f_lineno, place.f_back
            if frame.f_code.co_filename == self.filename:
                places.add(line or 0)
        for block in self._blocks:
            so_far = 0
            for node in block:
                lines = _head_lines(node)
                so_far |= lines
                if any(lines >> place & 1 for place in places):
                    self._partial |= so_far

    def lines(self) -> str | None:
        """The lines that ran since `restart`."""
        if not self._blocks:
            return None
        lines = self._partial
        for index in compress(range(len(self._blocks)), self.marks):
            if index not in self._known:
                self._known[index] = reduce(or_, map(_head_lines, self._blocks[index]))
            lines |= self._known[index]
        return encode_lines(lines)

    def close(self) -> None:
        """Remove the list of marks."""
        vars(builtins).pop(HIDDEN, None)


class Instrumenter:
    """Puts marks into a syntax tree. Line numbers, docstrings and `from __future__` stay as they are."""

    def __init__(self, *, each_statement: bool) -> None:
        self.each_statement = each_statement
        self.blocks: list[list[Node]] = []

    def instrument(self, tree: ast.Module) -> list[list[Node]]:
        """Change `tree`. Returns the nodes of each block, in the order of the marks."""
        tree.body = self._scope(tree.body)
        return self.blocks

    def _scope(self, body: list[ast.stmt]) -> list[ast.stmt]:
        """The body of a module or class, where `global` spares the name a look-up in the scope's own mapping."""
        leading = int(_is_text(body[0])) if body else 0
        while leading < len(body) and _is_future(body[leading]):
            leading += 1
        head = body[:leading]
        hidden = ast.Global(names=[HIDDEN], lineno=1, col_offset=0)
        if leading < len(body):
            return [*head, hidden, *self._body(body[leading:], head)]
        return [*head, hidden, self._mark(head, head[-1])] if head else body

    def _body(self, body: list[ast.stmt], head: Sequence[Node] = ()) -> list[ast.stmt]:
        """`body` with its marks. The nodes of `head` count with the first block."""
        marked: list[ast.stmt] = []
        block = list(head)
        for index, statement in enumerate(body):
            block.append(statement)
            compound = type(statement) in COMPOUND
            if compound or self.each_statement or index == len(body) - 1 or isinstance(statement, JUMPS):
                marked.append(self._mark(block, statement))
                block = []
            marked.append(statement)
            if compound:
                self._visit(statement)
        return marked

    def _mark(self, block: list[Any], place: ast.stmt) -> ast.stmt:
        """The statement that sets the item of `block`, at the place of the statement before which it stands."""
        at: dict[str, Any] = {"lineno": place.lineno, "col_offset": place.col_offset}
        item = ast.Subscript(
            value=ast.Name(id=HIDDEN, ctx=ast.Load(), **at),
            slice=ast.Constant(value=len(self.blocks), **at),
            ctx=ast.Store(),
            **at,
        )
        self.blocks.append(block)
        return ast.Assign(targets=[item], value=ast.Constant(value=1, **at), **at)

    def _visit(self, node: Any) -> None:
        """Mark the statements inside a compound statement."""
        if isinstance(node, ast.ClassDef):
            node.body = self._scope(node.body)
            return
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            documented = int(_is_text(node.body[0]))
            node.body = [*node.body[:documented], *self._body(node.body[documented:])]
            return
        for field in ("body", "orelse", "finalbody"):
            if hasattr(node, field):
                setattr(node, field, self._body(getattr(node, field)))
        arms: list[Any] = getattr(node, "handlers", []) or getattr(node, "cases", [])
        for number, arm in enumerate(arms, start=1):
            arm.body = self._body(arm.body, arms[:number])  # those before it were tried too


COMPOUND = frozenset(
    {ast.If, ast.For, ast.AsyncFor, ast.While, ast.With, ast.AsyncWith, ast.Try, ast.TryStar, ast.Match}
    | {ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef}
)
"""The kinds of statements that hold other statements."""
JUMPS = (ast.Return, ast.Raise, ast.Break, ast.Continue)
SILENT = (ast.Global, ast.Nonlocal)
"""Statements without code: they never run."""


def _is_text(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(getattr(statement.value, "value", None), str)


def _is_future(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.ImportFrom) and statement.module == "__future__"


def _head_lines(node: Node) -> Lines:
    """Lines of a statement without the statements inside it: of a loop, its head; of a function, decorators too."""
    if isinstance(node, SILENT):
        return 0
    if isinstance(node, ast.match_case):
        return _range(node.pattern.lineno, (node.guard or node.pattern).end_lineno)
    if type(node) not in COMPOUND and not isinstance(node, ast.excepthandler):
        return _range(node.lineno, node.end_lineno)
    first = last = node.lineno
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.stmt | ast.excepthandler | ast.match_case):
            continue
        for part in ast.walk(child):
            first = min(first, getattr(part, "lineno", first))
            last = max(last, getattr(part, "end_lineno", last))
    return _range(first, last)


def _range(first: int, last: int | None) -> Lines:
    last = min(first if last is None else last, MAX_LINES)
    return (2 << last) - (1 << first) if first <= last else 0
