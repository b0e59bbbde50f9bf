"""The data that flows through Linewise, stage by stage. Frozen, torch-free.

    Task -> Prompt -> Completion -> Program -> Report -> Rollout -> Group -> ScoredGroup -> Credit -> Sample

A later stage wraps an earlier one and never fills one of its fields. Shape legend: T is the number of sampled tokens of
one completion; lines are 1-based, as tracebacks and editors count them; character offsets are 0-based and half-open.
"""

from linewise.types.completions import Beginning, Completion, Program, Prompt, Sampling, StopReason
from linewise.types.credits import (
    Credit,
    Floats,
    Group,
    KlEstimator,
    LineScore,
    Need,
    Rollout,
    Sample,
    ScoredGroup,
    Scores,
)
from linewise.types.protocols import CreditAssigner, Judge, Policy
from linewise.types.reports import Outcome, Report, Trust, Verdict
from linewise.types.tasks import AssertTest, CallTest, Checker, Limits, StdinTest, Task, TestCase

__all__ = [
    "AssertTest",
    "Beginning",
    "CallTest",
    "Checker",
    "Completion",
    "Credit",
    "CreditAssigner",
    "Floats",
    "Group",
    "Judge",
    "KlEstimator",
    "Limits",
    "LineScore",
    "Need",
    "Outcome",
    "Policy",
    "Program",
    "Prompt",
    "Report",
    "Rollout",
    "Sample",
    "Sampling",
    "ScoredGroup",
    "Scores",
    "StdinTest",
    "StopReason",
    "Task",
    "TestCase",
    "Trust",
    "Verdict",
]
