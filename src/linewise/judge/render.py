"""Draws a report for people, and writes it as JSON for programs."""

from typing import Any

from rich.console import Group, RenderableType
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

from linewise.judge.capabilities import REMEDIES, Capabilities, Tier
from linewise.types import AssertTest, CallTest, Report, Task, TestCase, Verdict

STYLES = {Verdict.PASSED: "green", Verdict.FAILED: "yellow"}
"""Any other verdict is red."""
MAX_CELL_CHARS = 120


def render_report(task: Task, program: str, report: Report) -> RenderableType:
    """The program with its error line and, if they are known, the lines that ran; a row for each test; a sentence."""
    return Group(_source(program, report), Text(), _table(task, report), Text(), _summary(task, report))


def _source(program: str, report: Report) -> RenderableType:
    error = report.error
    # Lines are split as the compiler counts them.
    source = _printable(program.replace("\r\n", "\n").replace("\r", "\n").rstrip("\n"))
    lines = {error.line} if error is not None and error.line is not None else set()
    syntax: RenderableType = Syntax(source, "python", line_numbers=True, highlight_lines=lines, word_wrap=True)
    if report.executed_lines is not None:
        syntax = _source_with_lines(source, report, lines)
    if error is None:
        return syntax
    place = f"line {error.line}: " if error.line is not None else ""
    what = error.exception or error.verdict.value.replace("_", " ")
    message = f": {error.message}" if error.message else ""
    return Group(syntax, Text(_printable(f"{place}{what}{message}"), style="bold red"))


def _source_with_lines(source: str, report: Report, marked: set[int]) -> RenderableType:
    """The program, how many tests ran each line, and how suspicious that makes it where a test failed."""
    known = [outcome.executed_lines for outcome in report.outcomes if outcome.executed_lines is not None]
    scores = {} if report.passed else report.suspiciousness or {}
    table = Table("line", "ran", box=None, pad_edge=False)
    if scores:
        table.add_column("suspicion")
    table.add_column("program")
    code = Syntax("", "python").highlight(source)
    code.rstrip()
    for number, text in enumerate(code.split("\n"), start=1):
        num_hits = sum(number in lines for lines in known)
        loaded = report.executed_lines is not None and number in report.executed_lines
        ran = Text(f"{num_hits}/{len(known)}", "green") if num_hits else Text("load" if loaded else "", "dim")
        cells = [Text(f"{'>' if number in marked else ' '}{number:>3}", "bold red" if number in marked else ""), ran]
        if scores:
            score = scores.get(number)
            cells.append(
                Text("" if score is None else f"{score:.2f}", "bold red" if score == max(scores.values()) else "")
            )
        table.add_row(*cells, text)
    legend = f"ran: by how many of the {len(known)} tests that tell their lines; load: by loading the program alone"
    if scores:
        legend += "; suspicion: Ochiai's coefficient, 1.00 where all failing tests ran the line and no passing one did"
    return Group(table, Text(legend, style="dim"))


def _table(task: Task, report: Report) -> Table:
    table = Table("#", "test", "verdict", "expected", "actual", "line", "CPU", box=None, pad_edge=False)
    for number, (test, outcome) in enumerate(zip(task.tests, report.outcomes, strict=True), start=1):
        actual = outcome.actual if outcome.actual is not None else outcome.exception or outcome.message
        table.add_row(
            str(number),
            _cell(_test_text(test)),
            Text(outcome.verdict.value.replace("_", " "), style=STYLES.get(outcome.verdict, "red")),
            _cell("" if isinstance(test, AssertTest) else test.expected),
            _cell(actual),
            "" if outcome.line is None else str(outcome.line),
            f"{outcome.cpu_seconds * 1000:.1f} ms",
        )
    return table


def _test_text(test: TestCase) -> str:
    if isinstance(test, CallTest):
        return test.call
    return test.code if isinstance(test, AssertTest) else f"stdin {test.input!r}"


def _cell(text: str) -> Text:
    text = _printable(text.strip())
    return Text(text if len(text) <= MAX_CELL_CHARS else text[: MAX_CELL_CHARS - 3] + "...")


def _printable(text: str) -> str:
    """`text` without the control characters by which a program could repaint the terminal."""
    return "".join(char if char.isprintable() or char in "\n\t" else "\ufffd" for char in text)


def _summary(task: Task, report: Report) -> Text:
    verdict = report.verdict.value.replace("_", " ")
    text = Text(f"{task.id}: {verdict}", style=STYLES.get(report.verdict, "red"))
    text.append(
        f", {report.num_passed} of {len(report.outcomes)} tests; {report.cpu_seconds * 1000:.1f} ms CPU, "
        f"{report.wall_seconds * 1000:.1f} ms wall, {report.peak_memory_mb:.0f} MiB; trust: {report.trust.value}"
        f"{f', isolation: {report.tier}' if report.tier else ''}",
        style="default",
    )
    return text


def render_capabilities(found: Capabilities) -> RenderableType:
    """One table row for each tier, and which one a judge would use."""
    table = Table("tier", "available", "what it is", box=None, pad_edge=False)
    for tier, reason in found.reasons.items():
        available = Text("yes", style="green") if reason is None else Text("no", style="yellow")
        if tier is Tier.T3:
            available = Text("only with --unsafe", style="red")
        table.add_row(tier.value, available, tier.meaning)
    lines = [
        Text(_printable(f"{tier}: {reason}; {REMEDIES[tier]}")) for tier, reason in found.reasons.items() if reason
    ]
    used = "No program is run without --unsafe." if found.best is Tier.T3 else f"Programs run under {found.best}."
    return Group(table, Text(), *lines, Text(used))


def capabilities_as_json(found: Capabilities) -> dict[str, Any]:
    """What `linewise judge --capabilities --json` prints; docs/judge.md lists the fields."""
    tiers = {
        tier.value: {"available": reason is None and tier is not Tier.T3, "reason": reason, "meaning": tier.meaning}
        for tier, reason in found.reasons.items()
    }
    tiers[Tier.T3.value]["reason"] = "it needs --unsafe"
    return {"best": found.best.value, "tiers": tiers}


def report_as_json(task: Task, report: Report) -> dict[str, Any]:
    """What `linewise judge --json` prints; docs/judge.md lists the fields."""
    return {
        "task_id": task.id,
        "verdict": report.verdict.value,
        "passed": report.passed,
        "num_passed": report.num_passed,
        "num_tests": len(report.outcomes),
        "trust": report.trust.value,
        "tier": report.tier,
        "cpu_seconds": report.cpu_seconds,
        "wall_seconds": report.wall_seconds,
        "peak_memory_mb": report.peak_memory_mb,
        "executed_lines": _sorted(report.executed_lines),
        "suspiciousness": report.suspiciousness,
        "tests": [
            {
                "verdict": outcome.verdict.value,
                "exception": outcome.exception,
                "line": outcome.line,
                "message": outcome.message,
                "actual": outcome.actual,
                "executed_lines": _sorted(outcome.executed_lines),
                "cpu_seconds": outcome.cpu_seconds,
            }
            for outcome in report.outcomes
        ],
    }


def _sorted(lines: frozenset[int] | None) -> list[int] | None:
    return None if lines is None else sorted(lines)
