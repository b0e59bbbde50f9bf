"""LeetCodeDataset (Xia et al. 2025, arXiv:2504.14655): methods of a class `Solution`, called by keyword; MIT."""

import ast
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from linewise.tasks.check_function import function_named
from linewise.tasks.literals import folded
from linewise.tasks.sources import Benchmark
from linewise.types import AssertTest, CallTest, Checker, Limits, Task

TOLERANCE = 1e-5
"""Of expected values with floats, as the site's statements have it."""
LIMITS = Limits(cpu_seconds=5.0, total_cpu_seconds=15.0)
"""Two references take about a second on an idle machine, and more than the usual two seconds on a crowded one."""
ANY_ORDER = re.compile(r"\breturn(?:ed)?\b[^.\n]*\bin any order\b", re.IGNORECASE)
"""What a statement says where the order of the answer does not matter."""
ANY_ANSWER = re.compile(r"\breturn any\b", re.IGNORECASE)
"""What a statement says where one of several answers is asked for, only one of which the tests know."""
OUTER_ORDER_IS_FREE = frozenset({"word-ladder-ii"})
"""Statements that ask for all of something and forget to say so; the reference's order follows the hash seed."""
OUTER_ORDER_COUNTS = frozenset(
    {"find-critical-and-pseudo-critical-edges-in-minimum-spanning-tree", "find-the-difference-of-two-arrays"}
)
"""Statements that let only the inner lists be in any order; they are compared exactly."""
INNER_ORDER_IS_FREE = frozenset(
    {
        "3sum",
        "4sum",
        "combination-sum",
        "combination-sum-ii",
        "combination-sum-iii",
        "combinations",
        "critical-connections-in-a-network",
        "find-duplicate-file-in-system",
        "group-anagrams",
        "subsets",
        "subsets-ii",
    }
)
"""Statements with `in any order` whose inner lists are sets or pairs without a direction as well."""

LIST_SETUP = """
if "ListNode" not in globals():
    class ListNode:
        def __init__(self, val=0, next=None):
            self.val, self.next = val, next

def list_node(values):
    head = None
    for value in reversed(values):
        node = ListNode(value)
        node.next, head = head, node
    return head

def list_values(node):
    values = []
    while node is not None:
        values.append(node.val)
        node = node.next
    return values
"""
TREE_SETUP = """
if "TreeNode" not in globals():
    class TreeNode:
        def __init__(self, val=0, left=None, right=None):
            self.val, self.left, self.right = val, left, right

def tree_node(values):
    nodes = [None if value is None else TreeNode(value) for value in values]
    children = iter(nodes[1:])
    for node in nodes:
        if node is not None:
            node.left, node.right = next(children, None), next(children, None)
    return nodes[0] if nodes else None

def tree_values(root):
    values, nodes = [], [root]
    for node in nodes:
        values.append(None if node is None else node.val)
        if node is not None:
            nodes += [node.left, node.right]
    while values and values[-1] is None:
        values.pop()
    return values
"""
SETUPS = {re.compile(r"\blist_(?:node|values)\("): LIST_SETUP, re.compile(r"\btree_(?:node|values)\("): TREE_SETUP}
"""What tests call -> the code that defines it. Values in, values out: expected nodes never reach the program."""
HELPERS = {"is_same_list": ("list_node", "list_values"), "is_same_tree": ("tree_node", "tree_values")}
"""Comparison in the data -> what makes the expected node, what reads the values of the actual one."""


def load_leetcode(path: Path | None = None) -> list[Task]:
    """All tasks with all their tests, which are hidden."""
    return LEETCODE.load(path)


def leetcode_task(row: Mapping[str, Any]) -> Task:
    """One task. The published prompt (imports, node classes) and the head of the method are the signature."""
    name = row["task_id"]
    words = statement_of(row)
    meta = row.get("meta") or {}
    entry_point = row["entry_point"]
    starter = (row.get("starter_code") or meta.get("lang_code") or "").strip()
    checker = checker_of(name, words)
    check = function_named(ast.parse(row["test"]), "check")
    tests = tests_of(check, entry_point, checker)
    code = "\n".join(test.call if isinstance(test, CallTest) else test.code for test in tests)
    setup = "".join(text for pattern, text in SETUPS.items() if pattern.search(code)).strip("\n")
    return Task(
        id=f"leetcode/{name}",
        prompt=words,
        tests=tuple(tests),
        entry_point=entry_point.replace("()", ""),
        signature=f"{row['prompt'].strip()}\n\n\n{starter}" if starter.endswith(":") else None,
        setup=setup or None,
        reference=f"{row['prompt'].strip()}\n\n\n{row['completion'].strip()}\n",
        limits=LIMITS,
        metadata={
            "source": "leetcode",
            "license": "MIT",
            "family": (row.get("difficulty") or meta.get("difficulty") or "").lower(),
            "answers": "several" if ANY_ANSWER.search(words) else "one",
        },
    )


def statement_of(row: Mapping[str, Any]) -> str:
    """The problem in words, without the request to complete the code below it."""
    words = row.get("problem_description") or row["query"].partition("Please complete the following python code")[0]
    return str(words).replace("\xa0", " ").strip()


def checker_of(name: str, words: str) -> Checker:
    """How lists are compared, by what the statement says."""
    if name in OUTER_ORDER_COUNTS or not (name in OUTER_ORDER_IS_FREE or ANY_ORDER.search(words)):
        return Checker.EXACT
    return Checker.UNORDERED_DEEP if name in INNER_ORDER_IS_FREE else Checker.UNORDERED


def tests_of(check: ast.FunctionDef, entry_point: str, checker: Checker) -> list[AssertTest | CallTest]:
    """A call test for each assertion that compares a call with a literal or with a node; the rest stays code."""
    if not all(isinstance(statement, ast.Assert) for statement in check.body):
        return [AssertTest(code=_with_candidate(check.body, entry_point))]
    return [
        _call_test(statement, entry_point, checker) or AssertTest(code=_with_candidate([statement], entry_point))
        for statement in check.body
    ]


def _with_candidate(statements: list[ast.stmt], entry_point: str) -> str:
    return "\n".join([f"candidate = {entry_point}", *map(ast.unparse, statements)])


def _call_test(statement: ast.stmt, entry_point: str, checker: Checker) -> CallTest | None:
    match statement:
        case ast.Assert(test=ast.Compare(left=call, ops=[ast.Eq()], comparators=[other])):
            reader, expected = "", folded(other)
        case ast.Assert(
            test=ast.Call(
                func=ast.Name(id=comparison),
                args=[call, ast.Call(func=ast.Name(id=maker), args=[other], keywords=[])],
                keywords=[],
            )
        ) if HELPERS.get(comparison, ("",))[0] == maker:
            reader, expected = HELPERS[comparison][1], _without_trailing_none(other)
        case _:
            return None
    if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "candidate"):
        return None
    if expected is None:
        return None
    text = entry_point + ast.unparse(call).removeprefix("candidate")
    return CallTest(
        call=f"{reader}({text})" if reader else text,
        expected=expected,
        tolerance=TOLERANCE if _has_float(other) and checker is not Checker.UNORDERED_DEEP else None,
        checker=checker if isinstance(other, ast.List) and not reader else Checker.EXACT,
    )


def _without_trailing_none(values: ast.expr) -> str | None:
    """The literal of a node's values, written as `tree_values` gives them; None for anything else."""
    if not isinstance(values, ast.List) or folded(values) is None:
        return None
    items = list(values.elts)
    while items and isinstance(items[-1], ast.Constant) and items[-1].value is None:
        items.pop()
    return ast.unparse(ast.List(items, ast.Load()))


def _has_float(node: ast.expr) -> bool:
    return any(isinstance(part, ast.Constant) and type(part.value) is float for part in ast.walk(node))


LEETCODE = Benchmark(
    file="leetcode/LeetCodeDataset-v0.2.0-train.jsonl.gz",
    hub_id="newfacade/LeetCodeDataset",
    config="default",
    hub_splits=("train", "test"),
    fields={"task_id": str, "prompt": str, "completion": str, "entry_point": str, "test": str, "query": str},
    convert=leetcode_task,
    splits_are_files=True,
)
