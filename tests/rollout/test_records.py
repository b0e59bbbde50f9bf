"""Samples and reports survive JSON exactly, each field of them."""

import json

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from linewise.rollout.records import report_from_record, report_to_record, sample_from_record, sample_to_record
from linewise.types import (
    CallTest,
    Completion,
    Credit,
    Outcome,
    Program,
    Report,
    Rollout,
    Sample,
    StopReason,
    Task,
    Trust,
    Verdict,
)

LINES = st.none() | st.frozensets(st.integers(1, 50))
OUTCOMES = st.builds(
    Outcome,
    verdict=st.sampled_from(Verdict),
    exception=st.none() | st.text(max_size=5),
    line=st.none() | st.integers(1, 50),
    message=st.text(max_size=5),
    actual=st.none() | st.text(max_size=5),
    executed_lines=LINES,
    cpu_seconds=st.floats(0, 10),
)
REPORTS = st.builds(
    Report,
    outcomes=st.lists(OUTCOMES, min_size=1, max_size=3).map(tuple),
    trust=st.sampled_from(Trust),
    executed_lines=LINES,
    cpu_seconds=st.floats(0, 10),
    wall_seconds=st.floats(0, 10),
    peak_memory_mb=st.floats(0, 10),
)


@given(REPORTS)
def test_a_report_survives_json(report: Report) -> None:
    again = report_from_record(json.loads(json.dumps(report_to_record(report))))
    assert again == report
    for outcome in again.outcomes:
        assert isinstance(outcome.verdict, Verdict)
        assert outcome.executed_lines is None or isinstance(outcome.executed_lines, frozenset)


def test_a_sample_survives_json() -> None:
    task = Task(id="a", prompt="", tests=(CallTest(call="f()", expected="1"),))
    outcome = Outcome(verdict=Verdict.FAILED, executed_lines=frozenset({1, 3}))
    thirds = np.array([1 / 3, -1 / 3], dtype=np.float32)
    sample = Sample(
        rollout=Rollout(
            task=task,
            completion=Completion(
                prompt_ids=(1,),
                token_ids=(2, 3),
                logprobs=(-0.1, -0.2),
                char_spans=((0, 1), (1, 1)),
                text="x",
                stop_reason=StopReason.LENGTH,
                policy_version=4,
            ),
            program=Program(source="x", header_chars=0, start=0, end=1),
            report=Report(outcomes=(outcome,), trust=Trust.IN_PROCESS, executed_lines=outcome.executed_lines),
        ),
        credit=Credit(rewards=thirds, advantages=thirds, weights=thirds, terms={"coarse": thirds}),
    )
    again = sample_from_record(json.loads(json.dumps(sample_to_record(sample))), {"a": task})
    assert again.rollout == sample.rollout
    for name in ("rewards", "advantages", "weights"):
        np.testing.assert_array_equal(getattr(again.credit, name), thirds)
        assert getattr(again.credit, name).dtype == np.float32
    np.testing.assert_array_equal(again.credit.terms["coarse"], thirds)
