"""Samples come back from JSON exactly as they were."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from linewise.rollout.records import report_from_record, report_to_record, sample_from_record, sample_to_record
from linewise.types import (
    CallTest,
    Completion,
    Credit,
    Floats,
    LineScore,
    Outcome,
    Program,
    Report,
    Rollout,
    Sample,
    Scores,
    StopReason,
    Task,
    Trust,
    Verdict,
)

# A busy machine is no fault of the code.
STEADY = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

TASKS = {name: Task(id=name, prompt=name, tests=(CallTest(call="f()", expected="1"),)) for name in ("a", "b/ü")}
FLOATS = st.floats(allow_nan=False)
TEXTS = st.text(max_size=8) | st.sampled_from(["\ud800", "\x00\u2028", "</script>", '"\\'])


def arrays(length: int) -> st.SearchStrategy[Floats]:
    numbers = st.floats(width=32, allow_nan=False)
    return st.lists(numbers, min_size=length, max_size=length).map(lambda values: np.array(values, dtype=np.float32))


def outcomes() -> st.SearchStrategy[Outcome]:
    return st.builds(
        Outcome,
        verdict=st.sampled_from(Verdict),
        exception=st.none() | TEXTS,
        line=st.none() | st.integers(1, 10**6),
        message=TEXTS,
        actual=st.none() | TEXTS,
        cpu_seconds=FLOATS,
    )


def reports() -> st.SearchStrategy[Report]:
    return st.builds(
        Report,
        outcomes=st.lists(outcomes(), min_size=1, max_size=3).map(tuple),
        trust=st.sampled_from(Trust),
        executed_lines=st.none() | st.frozensets(st.integers(1, 10**6), max_size=5),
        cpu_seconds=FLOATS,
        wall_seconds=FLOATS,
        peak_memory_mb=FLOATS,
    )


@st.composite
def samples(draw: st.DrawFn) -> Sample:
    length = draw(st.integers(0, 5))

    def each(values: st.SearchStrategy[Any]) -> tuple[Any, ...]:
        return tuple(draw(st.lists(values, min_size=length, max_size=length)))

    completion = Completion(
        prompt_ids=tuple(draw(st.lists(st.integers(0, 2**31), max_size=4))),
        token_ids=each(st.integers(0, 2**31)),
        logprobs=each(FLOATS),
        char_spans=each(st.tuples(st.integers(0, 99), st.integers(0, 99))),
        text=draw(TEXTS),
        stop_reason=draw(st.sampled_from(StopReason)),
        policy_version=draw(st.integers(0, 10**6)),
    )
    numbers = st.integers(0, 99)
    program = draw(st.builds(Program, source=TEXTS, header_chars=numbers, start=numbers, end=numbers))
    task = draw(st.sampled_from([*TASKS.values()]))
    credit = Credit(
        rewards=draw(arrays(length)),
        advantages=draw(arrays(length)),
        weights=draw(arrays(length)),
        terms=draw(st.dictionaries(TEXTS, arrays(length), max_size=3)),
        returns=draw(st.none() | arrays(length)),
    )
    lines = st.builds(LineScore, line=st.integers(0, 99), score=FLOATS)
    scores = Scores(
        old_logprobs=draw(st.none() | arrays(length)),
        values=draw(st.none() | arrays(length)),
        line_scores=draw(st.none() | st.lists(lines, max_size=3).map(tuple)),
    )
    rollout = Rollout(task=task, completion=completion, program=program, report=draw(reports()))
    return Sample(rollout=rollout, credit=credit, scores=scores)


def through_json(sample: Sample) -> Sample:
    return sample_from_record(json.loads(json.dumps(sample_to_record(sample))), TASKS)


def assert_same_bits(left: Floats, right: Floats) -> None:
    assert left.dtype == right.dtype == np.float32
    assert left.shape == right.shape
    assert left.tobytes() == right.tobytes(), "to the sign of zero"


@settings(STEADY, max_examples=60)
@given(sample=samples())
def test_a_sample_comes_back_exactly(sample: Sample) -> None:
    back = through_json(sample)
    assert back.rollout == sample.rollout
    assert back.rollout.task is sample.rollout.task, "the task is looked up, not copied"
    assert_same_bits(back.credit.rewards, sample.credit.rewards)
    assert_same_bits(back.credit.advantages, sample.credit.advantages)
    assert_same_bits(back.credit.weights, sample.credit.weights)
    assert list(back.credit.terms) == list(sample.credit.terms)
    for name, term in sample.credit.terms.items():
        assert_same_bits(back.credit.terms[name], term)
    pairs = [
        (back.credit.returns, sample.credit.returns),
        (back.scores.old_logprobs, sample.scores.old_logprobs),
        (back.scores.values, sample.scores.values),
    ]
    for left, right in pairs:
        assert (left is None) == (right is None)
        if left is not None and right is not None:
            assert_same_bits(left, right)
    assert back.scores.line_scores == sample.scores.line_scores
    # Equality alone would let a plain string pass for a member of a StrEnum.
    assert isinstance(back.rollout.completion.stop_reason, StopReason)
    assert isinstance(back.rollout.report.trust, Trust)
    assert all(isinstance(outcome.verdict, Verdict) for outcome in back.rollout.report.outcomes)
    assert isinstance(back.rollout.report.executed_lines, frozenset | None)
    assert hash(back.rollout.completion) == hash(sample.rollout.completion), "no list has taken a tuple's place"


@settings(STEADY, max_examples=40)
@given(report=reports())
def test_a_report_comes_back_exactly(report: Report) -> None:
    back = report_from_record(json.loads(json.dumps(report_to_record(report))))
    assert back == report
    assert (back.verdict, back.error, back.pass_rate) == (report.verdict, report.error, report.pass_rate)


def by_hand(values: list[float]) -> Sample:
    numbers = np.array(values, dtype=np.float32)
    completion = Completion(
        prompt_ids=(1, 2),
        token_ids=(3,) * len(values),
        logprobs=(-0.1,) * len(values),
        char_spans=((0, 1),) * len(values),
        text="x",
        stop_reason=StopReason.LENGTH,
        policy_version=7,
    )
    report = Report(outcomes=(Outcome(verdict=Verdict.TIMEOUT),), executed_lines=frozenset({10, 2}))
    program = Program(source="y = x", header_chars=4, start=0, end=1)
    rollout = Rollout(task=TASKS["a"], completion=completion, program=program, report=report)
    credit = Credit(rewards=numbers, advantages=numbers, weights=numbers, terms={"coarse": numbers})
    return Sample(rollout=rollout, credit=credit)


def test_a_record_by_hand() -> None:
    record = sample_to_record(by_hand([0.1]))
    assert record["task_id"] == "a"
    assert "task" not in record, "tasks are stored once"
    assert record["completion"]["stop_reason"] == "length"
    assert record["completion"]["policy_version"] == 7
    assert record["program"] == {"source": "y = x", "header_chars": 4, "start": 0, "end": 1}
    assert record["report"]["executed_lines"] == [2, 10]
    assert record["report"]["outcomes"][0]["line"] is None
    assert record["credit"]["rewards"] == [0.10000000149011612], "the float32 nearest to 0.1"
    assert record["credit"]["terms"] == {"coarse": record["credit"]["rewards"]}


def test_float32_extremes_survive_and_so_does_what_is_not_finite() -> None:
    info = np.finfo(np.float32)
    values = [info.max, info.tiny, info.smallest_subnormal, -0.0, 1 / 3, np.inf, -np.inf, np.nan]
    back = through_json(by_hand(values)).credit.advantages
    assert_same_bits(back[:-1], np.array(values[:-1], dtype=np.float32))
    assert np.isnan(back[-1]), "a batch that is saved for its NaN still holds it"


def test_an_unknown_task_is_an_error() -> None:
    with pytest.raises(KeyError, match="a"):
        sample_from_record(sample_to_record(by_hand([1.0])), {"b": TASKS["b/ü"]})
