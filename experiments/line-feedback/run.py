"""How well the judge's lines point at known faulty lines: QuixBugs and one-line mutants of MBPP references.

Usage: LINEWISE_DATA=FOLDER python experiments/line-feedback/run.py [--mutants 1605]
"""

import argparse
import ast
import json
import os
import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from linewise.judge import LocalJudge
from linewise.types import AssertTest, CallTest, Limits, Report, Task, TestCase, Verdict

DATA = Path(os.environ.get("LINEWISE_DATA", Path(__file__).parents[2] / "../shared/data"))
PLAIN = """
def plain(value):
    if isinstance(value, (str, int, float, bool, type(None), dict)):
        return value
    return [plain(item) for item in value]
"""


@dataclass(frozen=True, kw_only=True)
class Bug:
    """A wrong program and the lines at fault."""

    task: Task
    program: str
    faulty: frozenset[int]


def quixbugs() -> list[Bug]:
    """The 31 algorithms of QuixBugs that have JSON test cases."""
    bugs = []
    for line in (DATA / "quixbugs/quixbugs.jsonl").read_text().splitlines():
        row = json.loads(line)
        cases = DATA / "quixbugs/json_testcases" / f"{row['id']}.json"
        if not cases.is_file():
            continue
        tests: list[TestCase] = []
        for case in filter(str.strip, cases.read_text().splitlines()):
            arguments, expected = json.loads(case)
            arguments = arguments if isinstance(arguments, list) else [arguments]
            text = ", ".join(map(repr, arguments))
            tests.append(CallTest(call=f"plain({row['id']}({text}))", expected=repr(expected), tolerance=1e-4))
        # The right programs take more than a second for the other tests of these two.
        del tests[{"knapsack": 8, "levenshtein": 2}.get(row["id"], len(tests)) :]
        limits = Limits(cpu_seconds=0.4, total_cpu_seconds=4.0)
        task = Task(id=row["id"], prompt="", tests=tuple(tests), setup=PLAIN, limits=limits)
        bugs.append(Bug(task=task, program=row["buggy"], faulty=frozenset(row["faulty_lines"])))
    return bugs


def mutants(number: int) -> list[Bug]:
    """A sample of the mutants, drawn with a fixed seed."""
    rows = [json.loads(line) for line in (DATA / "mbpp-mutants/mbpp_mutants.jsonl").read_text().splitlines()]
    bugs = []
    for row in random.Random(0).sample(rows, min(number, len(rows))):
        statements = ast.parse(row["tests"]).body
        setup = "\n".join(ast.unparse(node) for node in statements if not isinstance(node, ast.Assert))
        tests = [as_test(node) for node in statements if isinstance(node, ast.Assert)]
        limits = Limits(cpu_seconds=0.4, total_cpu_seconds=4.0)
        task = Task(id=row["id"], prompt="", tests=tuple(tests), setup=setup or None, limits=limits)
        bugs.append(Bug(task=task, program=row["buggy"], faulty=frozenset(row["faulty_lines"])))
    return bugs


def as_test(node: ast.Assert) -> TestCase:
    """A call test where the assertion compares with a literal, else the assertion."""
    if isinstance(node.test, ast.Compare) and len(node.test.ops) == 1 and isinstance(node.test.ops[0], ast.Eq):
        try:
            ast.literal_eval(node.test.comparators[0])
            return CallTest(call=ast.unparse(node.test.left), expected=ast.unparse(node.test.comparators[0]))
        except ValueError:
            pass
    return AssertTest(code=ast.unparse(node))


def hit_rate(scores: Mapping[int, float], faulty: Iterable[int], top: int) -> float:
    """Probability that a faulty line is among the first `top`, where lines with equal scores come in random order."""
    faulty = set(faulty)
    left, missed = top, 1.0
    for score in sorted({score for score in scores.values() if score > 0}, reverse=True):
        tied = [line for line, other in scores.items() if other == score]
        taken = min(left, len(tied))
        for number in range(taken):  # draw without replacement, missing each time
            wrong = len(tied) - len(faulty.intersection(tied))
            missed *= max(wrong - number, 0) / (len(tied) - number)
        left -= taken
    return 1.0 - missed


def with_loading(report: Report) -> Report:
    """The report as if every test had executed the lines that only loading executed."""
    known = [outcome.executed_lines or frozenset() for outcome in report.outcomes]
    loading = (report.executed_lines or frozenset()).difference(*known)
    return replace(
        report,
        outcomes=tuple(
            outcome
            if outcome.executed_lines is None
            else replace(outcome, executed_lines=outcome.executed_lines | loading)
            for outcome in report.outcomes
        ),
    )


def code_lines(program: str) -> int:
    """Number of lines that begin a statement or an expression: what could run."""
    nodes = ast.walk(ast.parse(program))
    return len({node.lineno for node in nodes if isinstance(node, ast.stmt | ast.expr | ast.excepthandler)})


def summarise(name: str, bugs: list[Bug], reports: list[Report]) -> None:
    """Print one set's table."""
    num = len(bugs)
    wrong = [(bug, report) for bug, report in zip(bugs, reports, strict=True) if not report.passed]
    num_lines, line_right, near = 0, 0, 0
    in_failing, share, chance, unknown = 0, 0.0, 0.0, 0
    top = dict.fromkeys(
        ("1", "3", "1 with loading", "3 with loading", "1 where line", "3 where line", "line or 1"), 0.0
    )
    for bug, report in wrong:
        error = next((outcome for outcome in report.outcomes if outcome.line is not None), None)
        right = error is not None and error.line in bug.faulty
        num_lines += error is not None
        line_right += right
        near += error is not None and error.line is not None and min(abs(error.line - line) for line in bug.faulty) <= 1
        failed = [outcome.executed_lines for outcome in report.outcomes if outcome.verdict is not Verdict.PASSED]
        failing = [lines for lines in failed if lines is not None]
        unknown += not failing
        executed = frozenset().union(*failing)
        chance += hit_rate(dict.fromkeys(executed, 1.0), bug.faulty, 1)
        in_failing += bool(executed & bug.faulty)
        share += len(executed) / code_lines(bug.program)
        narrow, wide = report.suspiciousness or {}, with_loading(report).suspiciousness or {}
        for size in (1, 3):
            rate = hit_rate(narrow, bug.faulty, size)
            top[str(size)] += rate
            top[f"{size} with loading"] += hit_rate(wide, bug.faulty, size)
            top[f"{size} where line"] += rate if error is not None else 0.0
        top["line or 1"] += right if error is not None else hit_rate(narrow, bug.faulty, 1)
    total = len(wrong)
    print(f"\n## {name}: {num} programs, {total} of them fail a test")
    rows = [
        ("an error line exists", f"{num_lines} ({num_lines / total:.0%})"),
        ("... and is a faulty line", f"{line_right} ({line_right / max(num_lines, 1):.0%} of those)"),
        ("... or within one line of it", f"{near} ({near / max(num_lines, 1):.0%} of those)"),
        ("no failing test tells its lines", f"{unknown}"),
        ("a faulty line was executed by a failing test", f"{in_failing} ({in_failing / total:.0%})"),
        ("lines that failing tests executed, share of lines with code", f"{share / total:.0%}"),
        ("one of those lines, drawn at random, is faulty", f"{chance / total:.1%}"),
        ("error line right, of all", f"{line_right / total:.1%}"),
        ("Ochiai top 1, top 3, of all", f"{top['1'] / total:.1%}, {top['3'] / total:.1%}"),
        (
            "the same, lines of loading counted with each test",
            f"{top['1 with loading'] / total:.1%}, {top['3 with loading'] / total:.1%}",
        ),
        (
            "Ochiai top 1, top 3, of those with an error line",
            f"{top['1 where line'] / max(num_lines, 1):.1%}, {top['3 where line'] / max(num_lines, 1):.1%}",
        ),
        ("error line where there is one, else Ochiai top 1", f"{top['line or 1'] / total:.1%}"),
    ]
    print("| measure | value |\n|---|---|")
    for label, value in rows:
        print(f"| {label} | {value} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mutants", type=int, default=1605, help="size of the sample of MBPP mutants")
    arguments = parser.parse_args()
    with LocalJudge(record_lines=True) as judge:
        for name, bugs in (("QuixBugs", quixbugs()), ("MBPP mutants", mutants(arguments.mutants))):
            results = list(judge.run_many((bug.task, bug.program) for bug in bugs))
            reports = [report for report in results if isinstance(report, Report)]
            assert len(reports) == len(results), "a fault of the judge"
            summarise(name, bugs, reports)


if __name__ == "__main__":
    main()
