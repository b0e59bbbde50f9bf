"""Contest problems with several right answers, with the checkers that the format offers for them."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from linewise.judge import LocalJudge
from linewise.types import Checker, StdinTest, Task

THREE_FACTORS = """
def check(input, expected, actual):
    numbers = [int(word) for word in input.split()[1:]]
    wanted, found = expected.split("\\n"), iter(actual.split("\\n"))
    solvable = [line.strip() for line in wanted if line.strip() in ("YES", "NO")]
    for number, answer in zip(numbers, solvable, strict=True):
        if next(found, "").strip() != answer:
            return False
        if answer == "YES":
            a, b, c = map(int, next(found).split())
            if a * b * c != number or len({a, b, c}) < 3 or min(a, b, c) < 2:
                return False
    return not "".join(found).strip()
"""


@pytest.fixture(scope="module")
def judge() -> Iterator[LocalJudge]:
    with LocalJudge(workers=1) as judge:
        yield judge


def contest_task(data: Path, name: str, code: str | None = None, **rules: Any) -> Task:
    lines = (data / "codecontests/codecontests.jsonl").read_text().splitlines()
    row = next(row for row in map(json.loads, lines) if row["id"].startswith(name))
    tests = tuple(StdinTest(input=test["input"], expected=test["output"], **rules) for test in row["tests"])
    return Task(id=name, prompt="", tests=tests, reference=row["reference"], checker_code=code)


def test_product_of_three_numbers(data: Path, judge: LocalJudge) -> None:
    exact = contest_task(data, "1294_c_product_of_three_numbers")
    checked = contest_task(data, "1294_c_product_of_three_numbers", THREE_FACTORS, checker=Checker.CODE)
    reference = checked.reference or ""
    turned = reference.replace("for i in range(len(l)):", "l.reverse()\n            for i in range(len(l)):")
    wrong = reference.replace("l.append(x)", "l.append(x + 1)")
    assert judge.run(exact, reference).passed
    assert not judge.run(exact, turned).passed
    assert judge.run(checked, reference).passed
    assert judge.run(checked, turned).passed
    assert not judge.run(checked, wrong).passed
    assert not judge.run(checked, "print('NO')").passed
    assert not judge.run(checked, reference + "\nprint('YES')").passed


def test_expected_number_with_an_error(data: Path, judge: LocalJudge) -> None:
    """The statement allows an error of 1e-6; the reference prints 2.0 where 2.000000 is expected."""
    exact, within = (contest_task(data, "839_c_journey", tolerance=tolerance) for tolerance in (None, 1e-6))
    reference = within.reference or ""
    assert not judge.run(exact, reference).passed
    assert judge.run(within, reference).passed
    assert not judge.run(within, reference.replace("print(anw)", "print(anw * 1.00001)")).passed
