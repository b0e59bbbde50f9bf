"""Sample programs with their credit drawn on the tokens, so that a person sees where the learning signal went."""

import json
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import numpy as np

from linewise.rollout.lines import token_lines
from linewise.rollout.records import completion_from_record, program_from_record
from linewise.types import Completion, Program

PER_VERDICT = 4
"""Samples drawn of each verdict: half from the beginning of the run, half from its end."""
MOST = 24


def choose(records: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """A varied choice: of every program verdict the first and the last samples, in the order of the run."""
    by_verdict: dict[str, list[int]] = {}
    for index, record in enumerate(records):
        by_verdict.setdefault(program_verdict(record), []).append(index)
    half = PER_VERDICT // 2
    chosen = {index for indices in by_verdict.values() for index in (*indices[:half], *indices[-half:])}
    return [records[index] for index in sorted(chosen)[:MOST]]


def program_verdict(record: Mapping[str, Any]) -> str:
    """The program's verdict: its first error, else failed, else passed."""
    verdicts = [outcome["verdict"] for outcome in record["report"]["outcomes"]]
    errors = [verdict for verdict in verdicts if verdict not in ("passed", "failed")]
    return str(errors[0]) if errors else "failed" if "failed" in verdicts else "passed"


def draw_samples(records: Sequence[Mapping[str, Any]]) -> str:
    """The chosen samples as HTML."""
    return "".join(draw_sample(record, number) for number, record in enumerate(choose(records)))


def draw_sample(record: Mapping[str, Any], number: int) -> str:
    """One program: a header, one heat map for each term (tabs), and the error."""
    completion, program = completion_from_record(record["completion"]), program_from_record(record["program"])
    credit, outcomes = record["credit"], record["report"]["outcomes"]
    verdict = program_verdict(record)
    error = next(
        (outcome for outcome in outcomes if outcome["verdict"] == verdict and verdict not in ("passed", "failed")), None
    )
    blamed = error["line"] if error else None
    terms = {"total": credit["advantages"], **credit["terms"]}
    tabs = "".join(
        f'<button data-sample="{number}" data-term="{index}"{" class=on" if index == 0 else ""}>{escape(name)}</button>'
        for index, name in enumerate(terms)
    )
    maps = "".join(
        f'<div data-sample="{number}" data-term="{index}"{" hidden" if index else ""}>'
        f"{heat_map(completion, program, values, blamed)}</div>"
        for index, values in enumerate(terms.values())
    )
    passed = sum(outcome["verdict"] == "passed" for outcome in outcomes)
    return (
        f'<article class="sample"><header><b>step {record["step"]}</b> {escape(record["task_id"])} '
        f'<span class="badge {escape(verdict)}">{escape(verdict)}</span>'
        f'<span class="faint">{passed} of {len(outcomes)} tests</span><span class="tabs">{tabs}</span></header>'
        f"{maps}{error_line(error)}</article>"
    )


def error_line(error: Mapping[str, Any] | None) -> str:
    """What went wrong, below the program."""
    if error is None:
        return ""
    where = f"line {error['line']}: " if error["line"] else ""
    what = error["exception"] or error["verdict"]
    return f'<div class="error">{escape(where)}<b>{escape(what)}</b> {escape(error["message"] or "")}</div>'


def heat_map(completion: Completion, program: Program, values: Sequence[float], blamed: int | None) -> str:
    """The prompt's part in grey, then every sampled token on a colour for its value: blue above 0, orange below."""
    largest = float(np.max(np.abs(values), initial=0.0))
    lines = token_lines(completion, program)
    spans = []
    for index, (begin, end) in enumerate(completion.char_spans):
        text = completion.text[begin:end]
        classes = [
            name
            for name, holds in (("outside", not lines[index]), ("blamed", lines[index] == blamed and blamed))
            if holds
        ]
        line = f"line {lines[index]}" if lines[index] else "outside the program"
        tip = f"{json.dumps(text)}  credit {values[index]:+.3f}  logprob {completion.logprobs[index]:.2f}  {line}"
        spans.append(
            f'<span title="{escape(tip)}" class="{" ".join(classes)}" style="background:{colour(values[index], largest)}">'
            f"{escape(text)}</span>"
        )
    given = escape(program.source[: program.header_chars])
    return (
        f'<pre><span class="given">{given}</span>{"".join(spans)}</pre>'
        f'<div class="error scale">deepest colour = {largest:.3f}; blue rewards, orange penalises</div>'
    )


def colour(value: float, largest: float) -> str:
    """A transparent blue or orange; the deeper, the larger."""
    if largest == 0 or value == 0:
        return "transparent"
    rgb = "0,114,178" if value > 0 else "213,94,0"
    return f"rgba({rgb},{0.08 + 0.62 * abs(value) / largest:.2f})"
