"""Are the tasks themselves right? Every reference must pass its tests, and no program without thought may."""

import ast
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from linewise.errors import JudgeError
from linewise.types import AssertTest, CallTest, Judge, Report, StdinTest, Task, TestCase, Verdict

STUB_VALUES = ("None", "0", "''", "[]", "True", "False")
"""What the stubs return, beside their first argument."""


@dataclass(frozen=True, kw_only=True)
class TaskCheck:
    """What is wrong with one task; nothing, where all three are empty."""

    task: Task
    reference_fault: str = ""
    """Why the reference does not pass."""
    stub_fault: str = ""
    """Which stub passes every test."""
    note: str = ""
    """Worth knowing, but no fault: no reference to check, or no hidden test."""

    @property
    def clean(self) -> bool:
        """Whether the task is fit to train on."""
        return not self.reference_fault and not self.stub_fault


@dataclass(frozen=True, kw_only=True)
class Probe:
    """One program to judge for a check."""

    task: Task
    source: str
    name: str
    """`reference`, or what the stub returns."""


def check_tasks(
    tasks: Sequence[Task], judge: Judge, *, progress: Callable[[int], None] | None = None
) -> list[TaskCheck]:
    """Judge each task's reference and stubs. `progress` is called with 1 for each program judged."""
    probes = [probe for task in tasks for probe in probes_of(task)]
    reports: dict[tuple[str, str], Report | JudgeError] = {}
    for probe, report in zip(probes, judge.run_many((probe.task, probe.source) for probe in probes), strict=True):
        reports[probe.task.id, probe.name] = report
        if progress is not None:
            progress(1)
    return [
        verdict_of(task, {name: report for (task_id, name), report in reports.items() if task_id == task.id})
        for task in tasks
    ]


def probes_of(task: Task) -> Iterator[Probe]:
    """The reference and, for a function, the stubs."""
    if task.reference is not None:
        yield Probe(task=task, source=task.reference, name="reference")
    for value in stub_values(task):
        yield Probe(task=task, source=f"def {task.entry_point}(*args, **options):\n    return {value}\n", name=value)


def stub_values(task: Task) -> tuple[str, ...]:
    """What a stub of this task may return; nothing for a task without an entry point."""
    return () if task.entry_point is None else (*STUB_VALUES, "args[0]")


def verdict_of(task: Task, reports: dict[str, Report | JudgeError]) -> TaskCheck:
    """The faults of one task from the reports on its reference and stubs."""
    reference = reports.pop("reference", None)
    passing = [name for name, report in reports.items() if isinstance(report, Report) and report.passed]
    notes = [] if reference is not None else ["no reference"]
    if all(test.example for test in task.tests):
        notes.append("no hidden test")
    return TaskCheck(
        task=task,
        reference_fault="" if reference is None else describe(task, reference),
        stub_fault=f"a stub that returns {passing[0]} passes all {len(task.tests)} tests" if passing else "",
        note=", ".join(notes),
    )


def describe(task: Task, report: Report | JudgeError) -> str:
    """Why a reference does not pass, in one line; empty if it does."""
    if isinstance(report, JudgeError):
        return f"the judge failed: {report}"
    for test, outcome in zip(task.tests, report.outcomes, strict=True):
        if outcome.verdict is not Verdict.PASSED:
            error = f" ({outcome.exception} in line {outcome.line}: {outcome.message})" if outcome.exception else ""
            got = f", got {outcome.actual}" if outcome.actual is not None else ""
            return f"{outcome.verdict}{error} on {show_test(test)}{got}"
    return ""


def show_test(test: TestCase) -> str:
    """One test in one line, for tables."""
    match test:
        case CallTest():
            return f"{test.call} == {test.expected}"
        case AssertTest():
            return ast.unparse(ast.parse(test.code)).replace("\n", "; ")
        case StdinTest():
            return f"input {test.input!r} -> {test.expected!r}"
