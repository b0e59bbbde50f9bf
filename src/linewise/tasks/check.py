"""Are the tasks themselves right? Every reference must pass its tests, and no program without thought may."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from linewise.errors import JudgeError
from linewise.types import AssertTest, CallTest, Checker, Judge, Report, StdinTest, Task, TestCase, Verdict

FIRST_ARGUMENT = "[*args, *options.values()][0]"
STUB_VALUES = ("None", "0", "''", "[]", "True", "False", FIRST_ARGUMENT)
"""What the stubs of a function return."""
EMPTY_PROGRAM = "pass\n"
REFERENCE = "the reference"


@dataclass(frozen=True, kw_only=True)
class TaskCheck:
    """What is wrong with one task; nothing, where all three texts are empty."""

    task: Task
    reference_fault: str = ""
    """Why the reference does not pass."""
    stub_fault: str = ""
    """Which stub passes every test, and why."""
    note: str = ""
    """Worth knowing, but no fault: no reference to check, or no hidden test."""

    @property
    def clean(self) -> bool:
        """Whether the task is fit to train on."""
        return not self.reference_fault and not self.stub_fault


@dataclass(frozen=True, kw_only=True)
class Probe:
    """One program to judge for a check."""

    name: str
    source: str


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What the judge said of a probe."""

    probe: Probe
    report: Report | JudgeError

    @property
    def passed(self) -> bool:
        """Whether the probe passed every test."""
        return isinstance(self.report, Report) and self.report.passed


def check_tasks(
    tasks: Sequence[Task], judge: Judge, *, progress: Callable[[int], None] | None = None
) -> list[TaskCheck]:
    """Judge each task's reference and stubs; one result for each task, in order.

    `progress` is called with 1 for each program judged; `probes_of` says how many there are.
    """
    reports = judge.run_many((task, probe.source) for task in tasks for probe in probes_of(task))
    checks: list[TaskCheck] = []
    for task in tasks:
        findings: list[Finding] = []
        probes = probes_of(task)
        for probe, report in zip(probes, islice(reports, len(probes)), strict=True):
            findings.append(Finding(probe=probe, report=report))
            if progress is not None:
                progress(1)
        checks.append(judge_findings(task, findings))
    return checks


def probes_of(task: Task) -> list[Probe]:
    """The reference, an empty program and, for a function, the stubs."""
    return list(_probes(task))


def _probes(task: Task) -> Iterator[Probe]:
    if task.reference is not None:
        yield Probe(name=REFERENCE, source=task.reference)
    yield Probe(name="an empty program", source=EMPTY_PROGRAM)
    if task.entry_point is not None:
        for value in STUB_VALUES:
            name = "its first argument" if value == FIRST_ARGUMENT else value
            yield Probe(name=f"a function that returns {name}", source=stub_source(task.entry_point, value))


def stub_source(entry_point: str, value: str) -> str:
    """A program in which the entry point, a function or a method, returns the value of an expression."""
    class_name, _, name = entry_point.rpartition(".")
    if not class_name:
        return f"def {name}(*args, **options):\n    return {value}\n"
    return f"class {class_name}:\n    def {name}(self, *args, **options):\n        return {value}\n"


def judge_findings(task: Task, findings: Sequence[Finding]) -> TaskCheck:
    """The faults of one task."""
    reference = next((finding.report for finding in findings if finding.probe.name == REFERENCE), None)
    passing = [finding.probe.name for finding in findings if finding.probe.name != REFERENCE and finding.passed]
    notes = ["no reference"] if reference is None else []
    if all(test.example for test in task.tests):
        notes.append("no hidden test")
    return TaskCheck(
        task=task,
        reference_fault="" if reference is None else reference_fault(task, reference),
        stub_fault=f"{passing[0]} passes: {why_stub_passes(task)}" if passing else "",
        note=", ".join(notes),
    )


def reference_fault(task: Task, report: Report | JudgeError) -> str:
    """Why a reference does not pass, in one line: the first test that fails. Empty if it passes."""
    if isinstance(report, JudgeError):
        return f"the judge failed: {report}"
    for test, outcome in zip(task.tests, report.outcomes, strict=True):
        if outcome.verdict is not Verdict.PASSED:
            line = f" in line {outcome.line}" if outcome.line is not None else ""
            message = f": {outcome.message}" if outcome.message else ""
            error = f" ({outcome.exception}{line}{message})" if outcome.exception else ""
            actual = f", got {outcome.actual}" if outcome.actual is not None else ""
            return f"the reference is {_words(outcome.verdict)}{error} by {show_test(test)}{actual}"
    return ""


def why_stub_passes(task: Task) -> str:
    """What the tests have in common that lets a stub pass."""
    values = {test.expected for test in task.tests if isinstance(test, CallTest)}
    if len(task.tests) == 1:
        return f"its only test is {show_test(task.tests[0])}"
    if all(isinstance(test, CallTest) for test in task.tests) and len(values) == 1:
        return f"all {len(task.tests)} tests expect {values.pop()}"
    return f"none of the {len(task.tests)} tests tells it from a solution, the first being {show_test(task.tests[0])}"


def show_test(test: TestCase) -> str:
    """One test in one line."""
    match test:
        case CallTest():
            return f"{test.call} == {test.expected}{_rules(test)}"
        case AssertTest():
            return "; ".join(line.strip() for line in test.code.splitlines() if line.strip())
        case StdinTest():
            return f"input {test.input!r} -> output {test.expected!r}{_rules(test)}"


RULE_WORDS = {
    Checker.UNORDERED: "in any order",
    Checker.UNORDERED_DEEP: "in any order at every depth",
    Checker.SET: "as a set",
    Checker.CODE: "or what the task's checker accepts",
}


def _rules(test: CallTest | StdinTest) -> str:
    """How the result is compared, in brackets; empty for the usual comparison."""
    rules = [f"or {text if isinstance(test, CallTest) else repr(text)}" for text in test.alternatives]
    rules += [f"within {test.tolerance:g}"] if test.tolerance is not None else []
    rules += [RULE_WORDS[test.checker]] if test.checker in RULE_WORDS else []
    return f" ({', '.join(rules)})" if rules else ""


def _words(verdict: Verdict) -> str:
    """The end of the sentence `the reference is ...`."""
    match verdict:
        case Verdict.FAILED:
            return "failed"
        case Verdict.TIMEOUT:
            return "stopped for its CPU time"
        case Verdict.MEMORY:
            return "stopped for its memory"
        case Verdict.OUTPUT_LIMIT:
            return "stopped for its output"
        case Verdict.CRASHED:
            return "crashed"
    return "ended by an error"
