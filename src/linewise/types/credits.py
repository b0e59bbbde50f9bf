"""Judged programs, what models say of them, and the per-token numbers that credit makes of both."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from linewise.types.completions import Beginning, Completion, Program
from linewise.types.reports import Report
from linewise.types.tasks import Task

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Rollout:
    """One sampled and judged program."""

    task: Task
    completion: Completion
    program: Program
    report: Report
    begun: Beginning | None = None
    """The beginning of the answer, where it was given: its tokens are among the prompt's, and its text is not sampled."""


@dataclass(frozen=True, kw_only=True)
class Group:
    """The rollouts of one task that were collected together."""

    task: Task
    rollouts: tuple[Rollout, ...]
    baseline: Report | None = None
    """The report of W_base, the program that these rollouts are compared with; None where there is none yet."""


@dataclass(frozen=True, kw_only=True)
class LineScore:
    """What a line-level judge says of one line of a program."""

    line: int
    """1-based line of the program; 0 is the state before its first sampled line."""
    score: float


class KlEstimator(StrEnum):
    """An estimator of KL(pi || ref) from one sampled token, with d = log pi - log ref (`losses/kl.py`)."""

    K1 = "k1"
    K2 = "k2"
    K3 = "k3"


class Need(StrEnum):
    """What a credit assigner reads beside verdicts; models compute it, or the judge records it, on request only."""

    EXECUTED_LINES = "executed_lines"
    REF_LOGPROBS = "ref_logprobs"
    VALUES = "values"
    LINE_SCORES = "line_scores"
    LINE_VALUES = "line_values"
    OUTCOME_PROBS = "outcome_probs"


@dataclass(frozen=True, kw_only=True)
class Scores:
    """What models say of one rollout's tokens and lines when it is collected; None where nobody asked."""

    old_logprobs: Floats | None = None
    """[T] log-probabilities at temperature 1 under the policy that is about to learn, by the trainer's own forward pass."""
    ref_logprobs: Floats | None = None
    """[T] the same under the frozen reference policy."""
    values: Floats | None = None
    """[T] the critic's V(s_t): the return expected before token t is drawn."""
    line_scores: tuple[LineScore, ...] | None = None
    """The process reward model's R_phi(x, y^(1..m)) for each sampled line m, in [-1, 1]."""
    line_values: tuple[LineScore, ...] | None = None
    """V after each sampled line m, in [0, 1]: the expected outcome of going on from there; line 0 is the prompt alone."""
    outcome_probs: Floats | None = None
    """[T] an outcome critic's probability of the true outcome at each token."""


@dataclass(frozen=True, kw_only=True)
class ScoredGroup(Group):
    """A group, and what models say of its rollouts."""

    scores: tuple[Scores, ...]
    """One for each rollout, in order."""


@dataclass(frozen=True, kw_only=True)
class Credit:
    """Per-token numbers that a credit assigner writes for one rollout and a loss executes."""

    rewards: Floats
    """[T]"""
    advantages: Floats
    """[T] factor of each token's log-probability in the policy gradient."""
    weights: Floats
    """[T] chosen weight of each token's loss; 0 drops the token."""
    terms: Mapping[str, Floats]
    """name -> [T]: named parts whose sum is `advantages`; the report draws them."""
    returns: Floats | None = None
    """[T] what a critic is trained towards; None for an algorithm without one."""


@dataclass(frozen=True, kw_only=True)
class Sample:
    """A rollout with its credit: what the buffer holds and the trainer draws."""

    rollout: Rollout
    credit: Credit
    scores: Scores = Scores()
