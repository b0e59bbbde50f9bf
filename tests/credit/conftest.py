"""Rollouts from pieces of text: each piece is a token, and an empty one is the end of sequence."""

from collections.abc import Sequence

import numpy as np

from linewise.types import (
    CallTest,
    Completion,
    Floats,
    LineScore,
    Outcome,
    Program,
    Report,
    Rollout,
    ScoredGroup,
    Scores,
    StopReason,
    Task,
    Verdict,
)

TASK = Task(id="t", prompt="", tests=(CallTest(call="f(1)", expected="1"),))
PASSED = Report(outcomes=(Outcome(verdict=Verdict.PASSED),))
FAILED = Report(outcomes=(Outcome(verdict=Verdict.FAILED),))


def rollout(
    pieces: Sequence[str] = ("\n    return", " 1", ""),
    report: Report | bool = True,
    *,
    header: str = "def f(x):",
    logprobs: Sequence[float] | None = None,
    stop: StopReason = StopReason.EOS,
    program: tuple[int, int] | None = None,
) -> Rollout:
    """A rollout whose tokens are the pieces; `report` may say only whether it passed, `program` is where its code is."""
    ends = np.cumsum([len(piece) for piece in pieces]).tolist()
    text = "".join(pieces)
    start, end = program or (0, len(text))
    return Rollout(
        task=TASK,
        completion=Completion(
            prompt_ids=(0,),
            token_ids=tuple(range(len(pieces))),
            logprobs=tuple(logprobs or [-1.0] * len(pieces)),
            char_spans=tuple(zip([0, *ends[:-1]], ends, strict=True)),
            text=text,
            stop_reason=stop,
        ),
        program=Program(source=header + text[start:end], header_chars=len(header), start=start, end=end),
        report=report if isinstance(report, Report) else PASSED if report else FAILED,
    )


def group(*rollouts: Rollout, scored: Sequence[Scores] | None = None, baseline: Report | None = None) -> ScoredGroup:
    """A group of these rollouts, with empty scores where none are given."""
    return ScoredGroup(
        task=TASK, rollouts=rollouts, baseline=baseline, scores=tuple(scored or [Scores()] * len(rollouts))
    )


def floats(*values: float) -> Floats:
    """An array of the library's kind."""
    return np.asarray(values, dtype=np.float32)


def scores(
    *,
    lines: dict[int, float] | None = None,
    line_values: dict[int, float] | None = None,
    **arrays: Sequence[float],
) -> Scores:
    """Scores from plain numbers."""

    def per_line(numbers: dict[int, float] | None) -> tuple[LineScore, ...] | None:
        return numbers and tuple(LineScore(line=line, score=score) for line, score in numbers.items())

    return Scores(
        line_scores=() if lines == {} else per_line(lines),
        line_values=per_line(line_values),
        **{name: floats(*values) for name, values in arrays.items()},
    )
