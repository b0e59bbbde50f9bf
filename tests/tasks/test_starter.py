"""The starter set keeps the rules that docs/starter-tasks.md states."""

import ast
import copy
import math
import re
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from functools import cache
from itertools import combinations, permutations
from typing import Any

import pytest

from linewise.tasks.starter import EASY, HARD, load_starter
from linewise.types import CallTest, Task

TASKS = load_starter()
NAMES = [task.entry_point for task in TASKS]
SIMILARITY_LIMIT = 0.7
"""Greatest Jaccard similarity of the words of a training prompt and of a held-out prompt of the same kind of function."""


def call_tests(task: Task) -> list[CallTest]:
    return [test for test in task.tests if isinstance(test, CallTest)]


@cache
def function_of(task_id: str) -> Callable[..., Any]:
    task = next(task for task in TASKS if task.id == task_id)
    namespace: dict[str, Any] = {}
    exec(task.reference, namespace)
    return namespace[task.entry_point]


@cache
def inputs_of(task_id: str) -> list[tuple[tuple[Any, ...], Any]]:
    """Arguments and expected value of each test."""
    task = next(task for task in TASKS if task.id == task_id)
    return [
        (eval(test.call, {task.entry_point: lambda *arguments: arguments}), ast.literal_eval(test.expected))
        for test in call_tests(task)
    ]


def equal(actual: Any, expected: Any, tolerance: float | None) -> bool:
    if tolerance is not None:
        return math.isclose(actual, expected, rel_tol=tolerance, abs_tol=tolerance)
    return type(actual) is type(expected) and actual == expected


def solves(function: Callable[..., Any], task: Task) -> bool:
    """Whether `function` gives the expected value in every test of `task`."""
    tolerance = call_tests(task)[0].tolerance
    for arguments, expected in inputs_of(task.id):
        try:
            if not equal(function(*copy.deepcopy(arguments)), expected, tolerance):
                return False
        except (TypeError, ValueError, LookupError, AttributeError, ArithmeticError, RecursionError, StopIteration):
            return False
    return True


def parameter_types(task: Task) -> tuple[str, ...]:
    """The types of the parameters as they are written."""
    (function,) = ast.parse(f"{task.signature}\n    pass").body
    assert isinstance(function, ast.FunctionDef)
    return tuple(ast.unparse(argument.annotation) for argument in function.args.args if argument.annotation)


def test_counts():
    assert len(TASKS) >= 400
    families = defaultdict(Counter)
    for task in TASKS:
        families[task.metadata["family"]][task.metadata["split"]] += 1
    assert len(families) >= 40
    for family, splits in families.items():
        assert set(splits) == {"train", "heldout"}, family
        assert splits["train"] >= 3, family
        assert splits["heldout"] >= 2, family
    totals = Counter(task.metadata["split"] for task in TASKS)
    assert totals["train"] >= 290
    assert 120 <= totals["heldout"] <= totals["train"] / 2


def test_difficulties_are_mixed_alike_in_both_splits():
    levels = defaultdict(Counter)
    for task in TASKS:
        levels[task.metadata["split"]][task.metadata["difficulty"]] += 1
    for split, counts in levels.items():
        share = {level: count / counts.total() for level, count in counts.items()}
        assert set(share) == {"0", "1", "2", "3"}, split
        assert 0.20 <= share["0"] <= 0.35, split
        assert 0.40 <= share["1"] <= 0.50, split
        assert 0.05 <= share["3"] <= 0.15, split


def test_the_sets_by_difficulty_are_the_whole():
    easy, hard = load_starter(EASY), load_starter(HARD)
    assert len(easy) >= 400
    assert {task.id for task in easy} | {task.id for task in hard} == {task.id for task in TASKS}
    assert len(easy) + len(hard) == len(TASKS)
    assert {task.metadata["difficulty"] for task in easy} == {"0", "1"}


def test_metadata():
    for task in TASKS:
        assert set(task.metadata) == {"topic", "family", "split", "difficulty", "source", "license"}
        assert task.metadata["source"] == "linewise"
        assert task.metadata["license"] == "Apache-2.0"
        assert task.id == f"starter/{task.metadata['family']}/{task.entry_point}"


def test_a_family_stands_in_one_topic():
    topics = defaultdict(set)
    for task in TASKS:
        topics[task.metadata["family"]].add(task.metadata["topic"])
    assert all(len(names) == 1 for names in topics.values())


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.id)
def test_a_task_is_well_formed(task: Task):
    assert len(task.tests) >= 5
    assert 1 <= len(task.example_tests) <= 2
    assert len(task.tests) - len(task.example_tests) >= 3
    assert len({test.call for test in call_tests(task)}) == len(task.tests)
    assert len(task.prompt.split()) <= 25
    assert task.prompt.isascii()
    assert task.prompt[-1] in ".?"
    assert '"""' not in task.prompt
    assert task.signature is not None
    assert not task.signature.endswith("\n")
    (function,) = ast.parse(task.reference or "").body
    assert isinstance(function, ast.FunctionDef)
    assert function.name == task.entry_point
    assert function.returns is not None
    assert all(argument.annotation for argument in function.args.args)
    assert 1 <= len((task.reference or "").splitlines()) - 1 <= 8


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.id)
def test_the_reference_gives_the_expected_values_and_keeps_its_arguments(task: Task):
    function = function_of(task.id)
    for test, (arguments, expected) in zip(call_tests(task), inputs_of(task.id), strict=True):
        before = copy.deepcopy(arguments)
        assert equal(function(*arguments), expected, test.tolerance), test.call
        assert arguments == before, f"{test.call} changes its arguments"


@pytest.mark.parametrize("constant", [None, True, False, 0, 1, "", [], {}])
def test_no_constant_solves_a_task(constant: Any):
    assert [task.id for task in TASKS if solves(lambda *_: constant, task)] == []


def test_no_argument_solves_a_task():
    for place in range(3):
        assert [task.id for task in TASKS if solves(lambda *arguments, place=place: arguments[place], task)] == []


def test_names_and_prompts_are_unique():
    assert len(set(NAMES)) == len(TASKS)
    assert len({task.prompt.lower() for task in TASKS}) == len(TASKS)
    assert len({task.id for task in TASKS}) == len(TASKS)


class AlphaRename(ast.NodeTransformer):
    """Numbers the names of a function in the order of their appearance, so that only structure is left."""

    def __init__(self, function: ast.FunctionDef) -> None:
        bound = [
            node.id for node in ast.walk(function) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
        ]
        arguments = [node.arg for node in ast.walk(function) if isinstance(node, ast.arg)]
        self.numbers = {name: f"v{i}" for i, name in enumerate(dict.fromkeys([function.name, *arguments, *bound]))}

    def visit_Name(self, node: ast.Name) -> ast.Name:
        return ast.Name(id=self.numbers.get(node.id, node.id), ctx=node.ctx)

    def visit_arg(self, node: ast.arg) -> ast.arg:
        return ast.arg(arg=self.numbers[node.arg])


def shape_of(reference: str) -> str:
    """The body of a function with its names numbered and without annotations."""
    (function,) = ast.parse(reference).body
    assert isinstance(function, ast.FunctionDef)
    renamed = AlphaRename(function)
    return "\n".join(ast.unparse(renamed.visit(statement)) for statement in function.body)


def test_alpha_renaming_hides_names_only():
    assert shape_of("def f(a, b):\n    return a - b") == shape_of("def g(x: int, y: int):\n    return x - y")
    assert shape_of("def f(a, b):\n    return a - b") != shape_of("def f(a, b):\n    return b - a")


def test_no_two_references_have_the_same_shape():
    shapes = defaultdict(list)
    for task in TASKS:
        shapes[shape_of(task.reference or "")].append(task.id)
    assert [ids for ids in shapes.values() if len(ids) > 1] == []


def test_no_reference_solves_another_task():
    """Behaviour differs, and the tests see it.

    The function of a wider type, such as the sum of a nested list, may solve the task of a narrower one; the converse
    must not hold then.
    """
    by_types = defaultdict(list)
    for task in TASKS:
        by_types[tuple(name.partition("[")[0] for name in parameter_types(task))].append(task)
    solved = {
        (solver.id, task.id)
        for tasks in by_types.values()
        for solver, task in permutations(tasks, 2)
        if solves(function_of(solver.id), task)
    }
    types = {task.id: parameter_types(task) for task in TASKS}
    assert [(a, b) for a, b in solved if types[a] == types[b]] == []
    assert [(a, b) for a, b in solved if (b, a) in solved] == []


def words_of(task: Task) -> frozenset[str]:
    return frozenset(re.findall(r"[a-z0-9']+", task.prompt.lower()))


def test_no_heldout_prompt_rewords_a_training_prompt():
    """Words of the whole set's vocabulary (in at least 5 % of the prompts) say nothing about a task and are left out."""
    frequency = Counter(word for task in TASKS for word in words_of(task))
    common = {word for word, count in frequency.items() if count >= 0.05 * len(TASKS)}
    near = []
    for first, second in combinations(TASKS, 2):
        if first.metadata["split"] != second.metadata["split"]:
            a, b = words_of(first) - common, words_of(second) - common
            if len(a & b) > SIMILARITY_LIMIT * len(a | b):
                near.append((first.id, second.id))
    assert near == []


def test_loading_is_quick():
    started = time.process_time()
    load_starter()
    assert time.process_time() - started < 0.5


def test_loading_imports_no_torch():
    program = (
        "import sys; from linewise.tasks.starter import load_starter; load_starter(); print('torch' in sys.modules)"
    )
    finished = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert finished.stdout.strip() == "False"
