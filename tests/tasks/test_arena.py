"""The arena: always the same, its parts apart, its programs right, and the corpus wrong as often as it says."""

import ast
import copy
import random
import subprocess
import sys
from collections import Counter
from itertools import islice
from typing import Any

import pytest

from linewise.errors import TaskError
from linewise.judge import LocalJudge
from linewise.tasks import load_tasks
from linewise.tasks.arena.corpus import Draft, drafts
from linewise.tasks.arena.faults import with_faults
from linewise.tasks.arena.selection import NUM_HELDOUT, NUM_TRAIN, select
from linewise.tasks.arena.variant import Variant

TASKS = load_tasks("arena")
PARTS = select()
EVERY = (*PARTS.train, *PARTS.heldout, *PARTS.corpus)


def outcome(source: str, variant: Variant) -> tuple[str, ...]:
    """What a program gives on the inputs of a variant's tests; the name of an exception where it raises."""
    namespace: dict[str, Any] = {}
    try:
        exec(source, namespace)
    except SyntaxError:
        return ("SyntaxError",)
    results = []
    for arguments in variant.inputs:
        try:
            results.append(repr(namespace[variant.name](*copy.deepcopy(arguments))))
        except Exception as error:  # noqa: BLE001, a program may raise anything
            results.append(type(error).__name__)
    return tuple(results)


def test_sizes() -> None:
    families = {variant.family for variant in EVERY}
    assert len(families) == 25
    assert len(PARTS.train) == NUM_TRAIN * len(families) == len(load_tasks("arena@train"))
    assert len(PARTS.heldout) == NUM_HELDOUT * len(families) == len(load_tasks("arena@heldout"))
    assert len(PARTS.corpus) > 5000
    assert {variant.topic for variant in PARTS.heldout} == {
        *("strings", "lists", "numbers", "dictionaries", "loops", "conditions", "recursion")
    }


def test_no_two_functions_do_the_same() -> None:
    assert len({variant.behaviour() for variant in EVERY}) == len(EVERY)
    assert len({variant.prompt for variant in EVERY}) == len(EVERY)
    assert len({variant.name for variant in EVERY}) == len(EVERY)


def test_every_form_of_every_task_gives_what_the_oracle_says() -> None:
    """The oracle is a composition of Python functions; the forms are code that knows nothing of it."""
    for variant in (*PARTS.train, *PARTS.heldout):
        for form in range(len(variant.bodies)):
            assert outcome(variant.source(form), variant) == variant.expected(), variant.source(form)
            assert 2 <= len(variant.bodies[form].splitlines()) <= 8


def test_a_sample_of_the_corpus_variants_is_right_too() -> None:
    for variant in random.Random(0).sample(PARTS.corpus, 500):
        for form in range(len(variant.bodies)):
            assert outcome(variant.source(form), variant) == variant.expected(), variant.source(form)


def test_one_expectation_by_hand() -> None:
    """fold: the sum of x * x over the even numbers of [4, 7, -3, 2, 5] is 16 + 4."""
    fold = next(variant for variant in EVERY if variant.name == "sum_squares_even")
    assert fold.expected()[:3] == ("20", "0", "0")
    assert fold.prompt == "Return the sum of the squares of the even numbers."
    assert fold.signature == "def sum_squares_even(numbers: list[int]) -> int:"


def test_tasks_are_well_formed() -> None:
    for task in TASKS:
        assert len(task.tests) >= 5
        assert len(task.example_tests) == 1
        assert len(set(task.tests)) == len(task.tests)
        assert task.prompt.isascii()
        assert task.reference is not None
        ast.parse(task.reference)
        assert set(task.metadata) == {"topic", "family", "split", "source", "license"}
    assert len({task.id for task in TASKS}) == len(TASKS)


def test_the_judge_passes_references() -> None:
    sample = random.Random(1).sample(TASKS, 30)
    with LocalJudge(workers=2) as judge:
        reports = list(judge.run_many((task, task.reference or "") for task in sample))
    assert all(getattr(report, "passed", False) for report in reports)


def test_the_set_takes_no_path() -> None:
    with pytest.raises(TaskError, match="takes no path; got 'x'"):
        load_tasks("arena:x")


def test_the_set_is_the_same_in_another_process() -> None:
    program = (
        "import hashlib, sys; from linewise.tasks import load_tasks; "
        "print(hashlib.sha256(repr(load_tasks('arena')).encode()).hexdigest()); assert 'torch' not in sys.modules"
    )
    runs = [
        subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env=None).stdout
        for _ in range(2)
    ]
    assert runs[0] == runs[1]


def taken(seed: int, count: int, faults: float) -> list[Draft]:
    return list(islice(drafts(seed, faults=faults), count))


def test_the_corpus_is_a_function_of_its_seed() -> None:
    assert taken(3, 50, 1.0) == taken(3, 50, 1.0)
    assert taken(3, 50, 1.0) != taken(4, 50, 1.0)


def test_the_corpus_holds_no_task() -> None:
    programs = taken(0, 2000, 1.0)
    assert not {draft.prompt for draft in programs} & {task.prompt for task in TASKS}
    assert not {draft.signature for draft in programs} & {task.signature for task in TASKS}
    assert {draft.family for draft in programs} == {variant.family for variant in EVERY}


def test_faults_are_the_corpus_only_mistakes() -> None:
    """Without faults every renamed program is right; with them about half are wrong, some with an exception."""
    by_signature = {variant.signature: variant for variant in PARTS.corpus}
    assert all(correct(draft, by_signature) for draft in taken(1, 300, 0.0))
    outcomes = [correct(draft, by_signature) for draft in taken(1, 300, 1.0)]
    assert 0.4 < sum(outcomes) / len(outcomes) < 0.65


def correct(draft: Draft, by_signature: dict[str, Variant]) -> bool:
    variant = by_signature[draft.signature]
    return outcome(f"{draft.signature}\n{draft.body}\n", variant) == variant.expected()


class Always(random.Random):
    """Every fault happens."""

    def random(self) -> float:
        return 0.0


class Habits(random.Random):
    """Only what happens at least every fourth time happens."""

    def random(self) -> float:
        return 0.25


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        (
            "for i in range(low, high + 1):\n    total += i\nreturn total",
            "for i in range(low, high):\n    total += i\nreturn total",
        ),
        ("if n >= 3:\n    return n\nreturn 0", "if n > 3:\n    return n\nreturn 0"),
        ("if not chosen:\n    return 0\nreturn chosen[0]", "return chosen[0]"),
        ("for x in y:\n    continue\nreturn 1", "for x in y:\n    break\nreturn 1"),
        ("if n > 3:\n    return n + 1\nreturn 0", "if n > 3:\n    return n + 1\nreturn 0"),
    ],
)
def test_habits(right: str, wrong: str) -> None:
    assert body_with(right, Habits()) == wrong


def test_mistakes() -> None:
    right = "total = 0\nfor x in y:\n    if x % 2 == 0:\n        total += x * 2\nreturn total"
    assert body_with(right, Always()) == (
        # START, no colon on one line, NEGATED, the constant, OPERATOR twice, an early return of a variable never set
        "total = 1\nfor x in y:\n    if x // 2 != 1:\n        total = x + 2\n    return result"
    ).replace("for x in y:", "for x in y")


def test_a_while_loop_still_ends() -> None:
    right = "while n > 0:\n    n //= 10\nreturn n"
    assert body_with(right, Always()).replace("while n > 0\n", "while n > 0:\n") == right


def body_with(body: str, numbers: random.Random) -> str:
    (function,) = ast.parse("def f():\n" + "\n".join(f"    {line}" for line in body.splitlines())).body
    assert isinstance(function, ast.FunctionDef)
    return "\n".join(line[4:] for line in with_faults(function, numbers, 1.0).splitlines())


def test_families_are_drawn_alike() -> None:
    counts = Counter(draft.family for draft in taken(2, 2500, 0.0))
    assert min(counts.values()) > 60
    assert max(counts.values()) < 150
