"""Samples as JSON and back, exactly. A record names its task by id, so tasks are stored once."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from linewise.types import (
    Beginning,
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


def sample_to_record(sample: Sample) -> dict[str, Any]:
    """JSON form of a sample. Every float32 becomes the Python float that it equals, so nothing is lost."""
    rollout, credit = sample.rollout, sample.credit
    return {
        "task_id": rollout.task.id,
        "completion": asdict(rollout.completion),
        "program": asdict(rollout.program),
        "report": report_to_record(rollout.report),
        **({} if rollout.begun is None else {"begun": asdict(rollout.begun)}),
        "credit": {
            "rewards": credit.rewards.tolist(),
            "advantages": credit.advantages.tolist(),
            "weights": credit.weights.tolist(),
            "terms": {name: term.tolist() for name, term in credit.terms.items()},
            "returns": None if credit.returns is None else credit.returns.tolist(),
        },
        "scores": scores_to_record(sample.scores),
    }


def sample_from_record(record: Mapping[str, Any], tasks: Mapping[str, Task]) -> Sample:
    """The sample of `sample_to_record`. Raises KeyError for a task id that is not in `tasks`."""
    credit = record["credit"]
    return Sample(
        rollout=Rollout(
            task=tasks[record["task_id"]],
            completion=completion_from_record(record["completion"]),
            program=program_from_record(record["program"]),
            report=report_from_record(record["report"]),
            begun=beginning_from_record(record.get("begun")),
        ),
        credit=Credit(
            rewards=_floats(credit["rewards"]),
            advantages=_floats(credit["advantages"]),
            weights=_floats(credit["weights"]),
            terms={name: _floats(term) for name, term in credit["terms"].items()},
            returns=None if credit.get("returns") is None else _floats(credit["returns"]),
        ),
        scores=scores_from_record(record.get("scores", {})),
    )


def scores_to_record(scores: Scores) -> dict[str, Any]:
    """JSON form of scores; what nobody asked for is left out."""
    known = {name: value for name, value in vars(scores).items() if value is not None}
    return {
        name: value.tolist() if isinstance(value, np.ndarray) else [[one.line, one.score] for one in value]
        for name, value in known.items()
    }


def scores_from_record(record: Mapping[str, Any]) -> Scores:
    """The scores of `scores_to_record`."""
    known: dict[str, Any] = {
        name: tuple(LineScore(line=line, score=score) for line, score in value)
        if name in ("line_scores", "line_values")
        else _floats(value)
        for name, value in record.items()
    }
    return Scores(**known)


def completion_from_record(record: Mapping[str, Any]) -> Completion:
    """The completion inside a sample's record."""
    return Completion(
        prompt_ids=tuple(record["prompt_ids"]),
        token_ids=tuple(record["token_ids"]),
        logprobs=tuple(record["logprobs"]),
        char_spans=tuple((begin, end) for begin, end in record["char_spans"]),
        text=record["text"],
        stop_reason=StopReason(record["stop_reason"]),
        policy_version=record["policy_version"],
    )


def beginning_from_record(record: Mapping[str, Any] | None) -> Beginning | None:
    """The given beginning of a sample's answer; None where the policy wrote all of it."""
    if record is None:
        return None
    token_ids = record["token_ids"]
    return Beginning(**{**record, "token_ids": None if token_ids is None else tuple(token_ids)})


def program_from_record(record: Mapping[str, Any]) -> Program:
    """The program inside a sample's record."""
    return Program(**record)


def report_to_record(report: Report) -> dict[str, Any]:
    """JSON form of a report."""
    record = asdict(report)
    for part in (record, *record["outcomes"]):
        part["executed_lines"] = None if part["executed_lines"] is None else sorted(part["executed_lines"])
    return record


def report_from_record(record: Mapping[str, Any]) -> Report:
    """The report of `report_to_record`."""
    outcomes = (
        Outcome(**{**outcome, "verdict": Verdict(outcome["verdict"]), "executed_lines": _lines(outcome)})
        for outcome in record["outcomes"]
    )
    return Report(
        **{
            **record,
            "outcomes": tuple(outcomes),
            "trust": Trust(record["trust"]),
            "executed_lines": _lines(record),
        }
    )


def _lines(record: Mapping[str, Any]) -> frozenset[int] | None:
    lines = record["executed_lines"]
    return None if lines is None else frozenset(lines)


def _floats(values: list[float]) -> Floats:
    return np.asarray(values, dtype=np.float32)
